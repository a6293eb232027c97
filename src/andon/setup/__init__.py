"""What puts Andon on a machine and connects it to GitHub: units, users, folders; the GitHub App.

Plans are made of steps that can be read before anything happens, that do nothing where their work
is done already, and that say how to undo them. The agent's part needs the base install only.
"""
