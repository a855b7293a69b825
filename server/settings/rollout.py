"""How a guarded rollout is led where whoever starts it says nothing else."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from flags.rollout.model import Criteria, Plan
from server.settings.kinds import Seconds, split

Stages = Annotated[tuple[float, ...], NoDecode]
_DEFAULT = Plan()


class RolloutSettings(BaseSettings):
    """Settings of guarded rollouts: the plan that a start begins with."""

    rollout_stages: Stages = Field(
        _DEFAULT.stages,
        min_length=1,
        max_length=32,
        description="Comma-separated percentages of a guarded rollout, ascending.",
    )
    rollout_bake_s: Seconds = Field(
        _DEFAULT.bake_s, description="Seconds that a stage lasts at least."
    )
    rollout_final_bake_s: Seconds = Field(
        _DEFAULT.final_bake_s, description="Seconds that the last stage lasts at least."
    )
    rollout_cooldown_s: float = Field(
        _DEFAULT.cooldown_s,
        ge=0,
        le=2_592_000,
        description="Seconds after a rollback until it may be resumed; doubles with each.",
    )
    rollout_approval_at: Stages = Field(
        (), description="Comma-separated stages at whose end a person has to approve."
    )
    rollout_promote_error_rate: float = Field(
        _DEFAULT.promote.error_rate,
        gt=0,
        lt=1,
        description="A stage is passed with fewer errors than this share.",
    )
    rollout_promote_success_rate: float = Field(
        _DEFAULT.promote.success_rate,
        gt=0,
        lt=1,
        description="A stage is passed with more successes than this share.",
    )
    rollout_promote_ttft_s: Seconds = Field(
        _DEFAULT.promote.ttft_s,
        description="A stage is passed with a lower mean time to first token, in seconds.",
    )
    rollout_roll_back_error_rate: float = Field(
        _DEFAULT.roll_back.error_rate,
        gt=0,
        lt=1,
        description="More errors than this share, beyond doubt, roll back.",
    )
    rollout_roll_back_success_rate: float = Field(
        _DEFAULT.roll_back.success_rate,
        gt=0,
        lt=1,
        description="Fewer successes than this share, beyond doubt, roll back.",
    )
    rollout_roll_back_ttft_s: Seconds = Field(
        _DEFAULT.roll_back.ttft_s,
        description="A higher mean time to first token, in seconds, beyond doubt, rolls back.",
    )
    rollout_beta: float = Field(
        _DEFAULT.beta,
        gt=0,
        le=0.5,
        description="Chance that a stage ever passes while it is as bad as what rolls back.",
    )
    rollout_tick_s: Seconds = Field(
        5.0, description="Seconds between two looks of the controller; a fifth under much traffic."
    )

    _split_stages = field_validator("rollout_stages", "rollout_approval_at", mode="before")(split)

    @property
    def rollout_plan(self) -> Plan:
        """The plan that a start begins with; `flags.rollout` checks that it makes sense."""
        return Plan(
            stages=self.rollout_stages,
            bake_s=self.rollout_bake_s,
            final_bake_s=self.rollout_final_bake_s,
            cooldown_s=self.rollout_cooldown_s,
            approval_at=self.rollout_approval_at,
            promote=Criteria(
                self.rollout_promote_error_rate,
                self.rollout_promote_success_rate,
                self.rollout_promote_ttft_s,
            ),
            roll_back=Criteria(
                self.rollout_roll_back_error_rate,
                self.rollout_roll_back_success_rate,
                self.rollout_roll_back_ttft_s,
            ),
            beta=self.rollout_beta,
        )
