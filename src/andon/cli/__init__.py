"""The commands, a file each. They find configuration, server and tokens, and print; nothing else.

Nothing at the top of a file here may import the server's packages: `andon agent run` and the reads
work with the base install, and a misspelt command makes the parser look at all of them.
"""
