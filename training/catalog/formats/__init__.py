"""Tables as shops have them: what a file is by its content, and its rows. One family of formats a module."""
