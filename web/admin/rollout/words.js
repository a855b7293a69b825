/**
 * A rollout in plain words. Pure.
 *
 * @module admin/rollout/words
 */

import { count, duration, isKnown, stage } from "../words.js";

/** @typedef {Record<string, any>} Flag `flags.streaming` of `GET /api/metrics/feature-flags`. */

/** @type {Record<string, {word: string, tone: string, icon: string}>} */
const STATES = {
  idle: { word: "No rollout", tone: "plain", icon: "pause" },
  running: { word: "Running", tone: "healthy", icon: "play" },
  hold: { word: "Holding", tone: "degraded", icon: "wait" },
  final_bake: { word: "Final bake", tone: "healthy", icon: "wait" },
  completed: { word: "Completed", tone: "healthy", icon: "check" },
  rolled_back: { word: "Rolled back", tone: "unhealthy", icon: "stop" },
  paused: { word: "Paused", tone: "plain", icon: "pause" },
  killed: { word: "Killed", tone: "unhealthy", icon: "stop" },
  disabled: { word: "Disabled", tone: "plain", icon: "stop" },
};

/** @param {string} state */
export const stateWords = (state) => STATES[state] ?? { word: state, tone: "plain", icon: "wait" };

/** @type {Record<string, string>} */
const VERDICTS = {
  promote: "Promote", roll_back: "Roll back", hold: "Hold", wait: "Wait for more", neither: "Neither",
};

/** @param {string|undefined} verdict */
export const verdictWords = (verdict) => (verdict ? VERDICTS[verdict] ?? verdict : "–");

/** @type {Record<string, (flag: Flag) => string>} */
const HOLDS = {
  insufficient_data: (flag) => `Too few requests to tell yet${missing(flag)}.`,
  inconclusive: (flag) => `Enough requests, and they speak for neither side${missing(flag)}.`,
  approval: () => "This stage ends with a person’s word: approve it.",
  srm: () => "Users do not come in the share that was dealt, so the arms cannot be compared. Look for exposures that are lost.",
  incident: (flag) => `Both arms fail: this is not streaming’s doing. It ends by itself, or after ${duration(flag.rollout?.plan?.incident_max_s)} the plain thresholds decide.`,
  stale_metrics: () => "The figures are old: workers do not report. Check Redis and the workers.",
  skew: () => "Workers serve different versions of the flags. It ends when all have the newest.",
  relative_regression: () => "Streaming fails more often than the other arm, though less than the limit. Pause it and look, or wait.",
};

/** @param {string} reason @param {Flag} flag */
export function holdWords(reason, flag) {
  return HOLDS[reason]?.(flag) ?? reason.replaceAll("_", " ");
}

/** @param {Flag} flag @returns {string} Such as `: about 412 more requests, in 7 min`. */
function missing(flag) {
  const { needMore, etaSeconds } = flag.evidence ?? {};
  const more = isKnown(needMore) && needMore > 0 ? `about ${count(needMore)} more requests` : "";
  const soon = isKnown(etaSeconds) ? `in ${duration(etaSeconds)} at this rate` : "";
  const said = [more, soon].filter(Boolean).join(", ");
  return said && `: ${said}`;
}

/** @param {Flag} flag @returns {string} What happens now, in a sentence or two. */
export function situation(flag) {
  const share = stage(flag.rolloutPercentage);
  switch (flag.state) {
    case "idle":
      return `${share} of users are streamed to, and nobody changes that by itself.`;
    case "running":
      return `${share} of users are streamed to. ${nextStep(flag)}`;
    case "hold":
      return `${share} of users are streamed to, and it stays so until what holds it is gone.`;
    case "final_bake":
      return `Everybody is streamed to. ${baking(flag)}`;
    case "completed":
      return flag.evidence?.isAlert
        ? `${share} of users are streamed to, and it is as bad as what would have been rolled back. Look at it now.`
        : `${share} of users are streamed to. It is still watched, and nothing is changed any more.`;
    case "rolled_back":
      return `${sharedBy(flag)} ${cooling(flag)}`;
    case "paused":
      return `${share} of users are streamed to, and the controller leaves it alone until somebody resumes it.`;
    case "killed":
      return flag.killedHere
        ? "Nobody is streamed to by this worker: KILLED_FLAGS or DATA_DIR/killed-flags says so."
        : "Nobody is streamed to. Ending the kill brings nobody back by itself: the percentage stays at 0 until a rollout is started or resumed.";
    default:
      return "Nobody is streamed to: the flag is not enabled.";
  }
}

/** @param {Flag} flag */
function sharedBy(flag) {
  return flag.rolloutPercentage > 0 ? `${stage(flag.rolloutPercentage)} of users are streamed to.` : "Nobody is streamed to.";
}

/** @param {Flag} flag */
function nextStep(flag) {
  const { stages, stage: at, plan, percentage, isApproved } = flag.rollout ?? {};
  const next = stages?.[at + 1];
  const to = next === undefined ? "The final bake" : stage(next);
  const left = flag.evidence?.bakeLeftSeconds;
  const eta = flag.evidence?.etaSeconds;
  if (plan?.approval_at?.includes(percentage) && !isApproved) return `${to} comes when the evidence is there and somebody approves it.`;
  if (isKnown(eta) && eta > 0) return `${to} comes in ${duration(eta)}, as it goes now.`;
  if (isKnown(left) && left > 0) return `${to} comes after a bake of ${duration(left)} more, if the evidence is there.`;
  return `${to} comes when the evidence is there.`;
}

/** @param {Flag} flag */
function baking(flag) {
  const left = flag.evidence?.bakeLeftSeconds;
  return isKnown(left) ? `It is watched for ${duration(left)} more before it counts as completed.` : "It is watched before it counts as completed.";
}

/** @param {Flag} flag */
function cooling(flag) {
  const left = flag.rollout?.cooldownLeftSeconds;
  return isKnown(left) && left > 0
    ? `It can be resumed in ${duration(left)}; nothing happens by itself.`
    : "It can be resumed; nothing happens by itself.";
}

/** @type {Record<string, string>} */
const ACTIONS = {
  put: "changed the flag", set_percentage: "set the percentage", rollout: "set the percentage",
  kill: "killed the flag", end_kill: "ended the kill", delete: "deleted the flag",
  start: "started the rollout", pause: "paused the rollout", resume: "resumed the rollout",
  approve: "approved the stage", promote: "promoted", roll_back: "rolled back", hold: "holds",
  release: "goes on", complete: "completed the rollout", create: "made the flag", restore: "restored the flag",
};

/** @param {string} action */
export const actionWords = (action) => ACTIONS[action] ?? action.replaceAll("_", " ");

/** @type {Record<string, string>} */
const PEOPLE = { admin_cookie: "an operator", admin_token: "an operator", rollout_controller: "the controller", system: "the server" };
/** @type {Record<string, string>} */
const PROOFS = { admin_cookie: "on this page", admin_token: "with the token" };

/** @param {string} who */
export const whoWords = (who) => PEOPLE[who] ?? who;

/** @param {string} who @returns {string} Empty for what is nobody's doing. */
export const byWhat = (who) => PROOFS[who] ?? "";
