"""What a person chose or the app remembers: settings, remembered places, look."""
