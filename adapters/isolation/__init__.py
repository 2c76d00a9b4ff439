"""Work on hostile files in processes of their own: they can be killed, and the kernel limits their memory and time."""
