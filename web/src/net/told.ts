/** The server's own sentence on why it refused, or one that stands in for it. */
export async function told(response: Response): Promise<string> {
  const text = (await response.text().catch(() => "")).trim();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "reason" in body) {
      if (typeof body.reason === "string") return body.reason;
    }
  } catch {
    // Plain text, then.
  }
  return text !== "" && text.length < 300 ? text : `The server refused (${response.status}).`;
}
