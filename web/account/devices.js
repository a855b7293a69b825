/**
 * The dialog with one's sign-ins, of which any other can be ended.
 *
 * @module account/devices
 */

import { h } from "../view/dom.js";
import * as calls from "./calls.js";
import { openDialog } from "./forms.js";
import { rowsOf } from "./rows.js";
import { deviceName, when } from "./words.js";

export function openDevices() {
  const { element } = rowsOf(async () => (await calls.devices()).map(row), "You are signed in nowhere.");
  openDialog("Your devices", [
    h("p", {}, "End what you do not know or no longer use, then change your password."), element,
  ]);
}

/** @param {import("./calls.js").Device} device @returns {import("./rows.js").Row} */
function row(device) {
  const details = [device.address, `since ${when(device.created_at)}`, `used ${when(device.refreshed_at)}`].filter(Boolean).join(" · ");
  const told = { title: deviceName(device.client), details, tooltip: device.client };
  if (device.is_this) return { ...told, mark: "This one" };
  return { ...told, action: "Sign out", press: () => calls.endDevice(device.session_id) };
}
