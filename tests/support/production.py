"""The settings without which production does not start."""

PRODUCTION = {
    "app_env": "production",
    "allowed_hosts": "chat.example.com",
    "jwt_secret": "2c0b9f3d7a6e4815-made-up-for-tests-jwt",
    "session_secret": "8e1d5a7f4b3c6209-made-up-for-tests-session",
    "admin_token": "f4a6c8e0b2d17395-made-up-for-tests-admin",
}
"""By the names that `running_server` and `Settings` take."""
