"""The small coordinator: commands, the loop, the client handle and the committer."""
