/** What the server, asked over HTTP, says where it doesn't do something. */

/** `code` is a short name for programs, the message a sentence for people, in English. */
export class ToldError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The server's own code and sentence on why it refused, or ones that stand in for them. */
export async function told(response: Response): Promise<[code: string, reason: string]> {
  const text = (await response.text().catch(() => "")).trim();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "reason" in body) {
      const code = "error" in body && typeof body.error === "string" ? body.error : "";
      if (typeof body.reason === "string") return [code, body.reason];
    }
  } catch {
    // Plain text, then.
  }
  const isSentence = text !== "" && text.length < 300;
  return ["", isSentence ? text : `The server refused (${response.status}).`];
}
