/** Copying the room's link, also where the browser keeps its clipboard from a plain http page. */

/** Whether it is in the clipboard now. */
export async function copyLink(link: string): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(link);
      return true;
    }
  } catch {
    // Not allowed just now: the old way may still be.
  }
  return copyBySelection(link);
}

function copyBySelection(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  field.readOnly = true;
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
  }
}
