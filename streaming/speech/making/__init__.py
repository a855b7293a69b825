"""What the audio maker is made of: engines under guard, shared calls, kept audio."""
