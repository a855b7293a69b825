/**
 * The dialog for changing one's password.
 *
 * @module account/password
 */

import { notify } from "../view/dialogs.js";
import { h } from "../view/dom.js";
import * as calls from "./calls.js";
import { field, formOf, openDialog } from "./forms.js";
import { newPassword } from "./sign_in.js";

/** @param {import("./account.js").State} state */
export function openPassword({ user }) {
  // Tells a password manager whose password this is.
  const whose = h("input", { type: "email", autocomplete: "username", value: user?.email ?? "", hidden: true, readOnly: true });
  const current = field("current_password", "Present password", {
    type: "password", autocomplete: "current-password", required: true,
  });
  const next = newPassword("new_password", "New password");
  const form = formOf([current, next], "Change password", async () => {
    await calls.changePassword(current.input.value, next.input.value);
    dialog.close();
    notify("Your password is changed. Other devices have been signed out.", 8);
  }, [h("p", { class: "form-note" }, "You stay signed in here; all other devices are signed out.")]);
  form.prepend(whose);
  const dialog = openDialog("Change password", [form]);
}
