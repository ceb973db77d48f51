"""Ways down, one file each: whatever is in this folder, or in a file in use, is offered by every verb that descends."""
