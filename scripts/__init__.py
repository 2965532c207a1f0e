"""What `make` runs: set-up, the stack's commands, the report and the benchmark."""
