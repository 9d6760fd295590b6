"""Running code that is not ours: its tasks, its lifespan, what it changes of the process, and a loop it holds up."""
