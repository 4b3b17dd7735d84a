"""What people read: tables on the terminal, a picture for the README."""
