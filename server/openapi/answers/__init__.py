"""What routes answer, for the document; a room of routes each."""
