"""Who answers: named instructions and settings for the model."""
