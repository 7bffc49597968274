"""What a person chose and what the app remembers: settings, last places, how pictures look."""
