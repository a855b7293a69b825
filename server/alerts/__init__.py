"""What operators are told without asking: by webhook and e-mail, from the service itself.

For deployments without Alertmanager; where there is one, `deploy/prometheus` has the rules. What is
watched is few and grave, each message is sent once per deployment, and nothing here is ever waited
for by a turn. `server.services.alerts` sets it up.
"""
