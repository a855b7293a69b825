"""Signing in with an OpenID Connect provider."""

from server.openapi.describing import Answer, Doc, Parameter, Tag

_NEXT = Parameter(
    "next",
    "Where to go in the end: a path of this server.",
    {"type": "string", "maxLength": 500, "default": "/"},
)

LOGIN = Doc(
    Tag.ACCOUNTS,
    answers={
        302: Answer("To the provider.", headers=("Location",)),
        303: Answer("Back, as `/?sign_in_error=<code>`.", headers=("Location",)),
    },
    problems={404: ("not_found",)},
    description="For browsers: they come back at `/api/v1/auth/oidc/callback`, and are signed in.",
    parameters=(_NEXT,),
)
CALLBACK = Doc(
    Tag.ACCOUNTS,
    answers={
        303: Answer("Signed in; or back, as `/?sign_in_error=<code>`.", headers=("Location",))
    },
    problems={404: ("not_found",)},
    description="The provider sends browsers here; nobody else has a use for it.",
    parameters=(
        Parameter("state", "What the browser was sent away with."),
        Parameter("code", "What proves who signed in."),
        Parameter("iss", "Which provider answers."),
        Parameter("error", "That nobody signed in."),
    ),
)
