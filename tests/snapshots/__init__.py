"""What example fleets become: one text file a fleet, kept in the repository and read in review."""
