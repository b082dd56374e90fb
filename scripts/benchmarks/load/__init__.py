"""Load for room servers: many clients in one process, and the servers that they are set upon.

The clients are raw sockets with frames that were built beforehand, so that what is measured is
the server: all of a server's processor time is read from the kernel, none of it is the clients'.
"""
