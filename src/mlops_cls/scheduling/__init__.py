"""Jobs of batch systems: what runs in them, checked beforehand, and the script that asks for the machines."""
