"""The views and screens of the app, and its dialogs."""
