"""The views and dialogs of the app: a folder for each large feature, a file for each small one."""
