"""Who may sign in: users, their sessions and API keys, and what operators did about them."""
