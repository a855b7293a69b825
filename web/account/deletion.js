/**
 * The dialog for deleting one's account.
 *
 * @module account/deletion
 */

import { h } from "../view/dom.js";
import { field, formOf, openDialog } from "./forms.js";

/** @param {import("./account.js").Account} account */
export function openDeletion(account) {
  const password = field("password", "Your password", { type: "password", autocomplete: "current-password", required: true });
  const fields = account.state.user?.has_password ? [password] : [];
  const form = formOf(fields, "Delete everything", async () => {
    await account.deleteForGood(fields.length ? password.input.value : null);
    dialog.close();
  });
  form.querySelector("[type=submit]")?.classList.add("danger");
  const dialog = openDialog("Delete your account", [
    h("p", {}, "Your account and all your conversations will be gone. This cannot be undone."), form,
  ]);
}
