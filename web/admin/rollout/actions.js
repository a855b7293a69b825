/**
 * What an operator can do to a rollout: which buttons there are, and what each of them asks and does.
 *
 * @module admin/rollout/actions
 */

import * as calls from "../calls.js";
import { duration, stage } from "../words.js";

/** @typedef {import("./words.js").Flag} Flag */
/** @typedef {import("./dialog.js").Question} Question */
/** @typedef {Question & {id: string, label: string, tone?: "main"|"danger", isOffered: (flag: Flag) => boolean}} Action */

const ACTIVE = new Set(["running", "hold", "final_bake"]);
const isActive = (/** @type {Flag} */ flag) => ACTIVE.has(flag.rollout?.state) && flag.state !== "killed";
const isAlive = (/** @type {Flag} */ flag) => flag.state !== "killed" && flag.state !== "disabled";

/** @type {Action[]} */
export const ACTIONS = [
  {
    id: "start", label: "Start a rollout…", tone: "main",
    isOffered: (flag) => isAlive(flag) && !isActive(flag),
    title: () => "Start a rollout",
    about: (flag) => `The controller takes streaming from ${stage(flag.rolloutPercentage)} through the stages, each on evidence. What is left empty is as the server’s settings say.`,
    action: "Start",
    fields: (flag) => [
      { name: "stages", label: "Stages, in per cent", kind: "numbers", hint: "1, 5, 10, 25, 50, 75, 90, 100", value: planned(flag, "stages") },
      { name: "bake_s", label: "Bake of each stage, in seconds", kind: "number", hint: "600", value: planned(flag, "bake_s") },
      { name: "final_bake_s", label: "Final bake, in seconds", kind: "number", hint: "3600", value: planned(flag, "final_bake_s") },
      { name: "approval_at", label: "Stages that end with a person’s approval", kind: "numbers", hint: "none", value: planned(flag, "approval_at") },
    ],
    fold: "Stages and times",
    send: ({ reason, ...plan }, options) => calls.lead("start", { ...options, body: { ...plan, reason } }),
  },
  {
    id: "approve", label: "Approve…", tone: "main",
    isOffered: (flag) => isActive(flag) && !flag.rollout.isApproved && asksApproval(flag),
    title: (flag) => `Approve the stage at ${stage(flag.rollout.percentage)}`,
    about: () => "The rollout may pass this stage once the evidence is there too.",
    action: "Approve",
    send: (body, options) => calls.lead("approve", { ...options, body }),
  },
  {
    id: "pause", label: "Pause…",
    isOffered: isActive,
    title: () => "Pause the rollout",
    about: (flag) => `${stage(flag.rolloutPercentage)} of users stay streamed to. The controller decides nothing, and rolls nothing back, until somebody resumes it.`,
    action: "Pause",
    send: (body, options) => calls.lead("pause", { ...options, body }),
  },
  {
    id: "resume", label: "Resume…", tone: "main",
    isOffered: (flag) => isAlive(flag) && ["paused", "rolled_back"].includes(flag.rollout?.state),
    title: () => "Resume the rollout",
    about: (flag) => {
      const left = flag.rollout.cooldownLeftSeconds;
      const wait = left > 0 ? ` It cools down for ${duration(left)} more; before, the server refuses.` : "";
      return `The controller goes on with its plan, and gathers evidence anew.${wait}`;
    },
    action: "Resume",
    fields: (flag) => [{
      name: "stage", label: "Go on at", kind: "choice", value: "",
      choices: [["", "the highest stage it may"], ...flag.rollout.stages.map((/** @type {number} */ each) => [String(each), stage(each)])],
    }],
    send: ({ stage: at, reason }, options) => calls.lead("resume", { ...options, body: at ? { stage: Number(at), reason } : { reason } }),
  },
  {
    id: "kill", label: "Kill…", tone: "danger",
    isOffered: (flag) => flag.state !== "killed",
    title: () => "Kill streaming",
    about: () => "From now on nobody is streamed to, above every rule. A rollout that runs is paused.",
    action: "Kill",
    fields: () => [{
      name: "in_flight", label: "Answers that are being streamed", kind: "choice", value: "drain",
      choices: [["drain", "are finished"], ["abort", "are stopped at once"]],
    }],
    send: (body, options) => calls.kill({ ...options, body }),
  },
  {
    id: "end-kill", label: "End the kill…", tone: "main",
    isOffered: (flag) => flag.kill === true,
    title: () => "End the kill",
    about: () => "The flag is asked again. Nobody is streamed to by that alone: start or resume a rollout, or set a percentage.",
    action: "End the kill",
    send: ({ reason }, options) => calls.endKill(String(reason), options),
  },
];

/** @param {Flag} flag */
function asksApproval(flag) {
  return flag.rollout.hold === "approval" || flag.rollout.plan?.approval_at?.includes(flag.rollout.percentage);
}

/** A next rollout is most often led as the last one was. @param {Flag} flag @param {string} name */
function planned(flag, name) {
  const value = flag.rollout?.plan?.[name];
  return Array.isArray(value) ? value.join(", ") : String(value ?? "");
}
