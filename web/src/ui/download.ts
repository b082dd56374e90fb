/** Let the browser keep `blob` as a file: `atelier-`, today's date and this ending. */
export function download(blob: Blob, ending: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = `atelier-${new Date().toISOString().slice(0, 10)}${ending}`;
  link.click();
  URL.revokeObjectURL(url);
}
