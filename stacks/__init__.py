"""What this repository deploys: the fleet file, and the stacks made from it."""
