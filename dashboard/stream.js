// The one request that stays open: what is now, then what changes. It comes back by itself.

const SILENCE_MS = 20_000; // the service says something every 15 s
const PAUSES_MS = [1000, 1000, 2000, 3000, 5000];

export class Stream {
  /**
   * @param headers gives the headers of a request
   * @param told is given each message
   * @param lost is told in words why there is no connection
   * @param refused is told the status and the words when the key is not enough
   */
  constructor({ headers, told, lost, refused }) {
    this.headers = headers;
    this.told = told;
    this.lost = lost;
    this.refused = refused;
    this.run = 0;
    this.heard = 0;
    this.abort = null;
    this.toldAny = false;
    setInterval(() => this.watch(), 1000);
    document.addEventListener("visibilitychange", () => this.watch());
  }

  /** Connect, with the key of now; what was connected before ends. */
  start() {
    this.stop();
    this.keep(this.run);
  }

  stop() {
    this.run += 1;
    this.abort?.abort();
    this.abort = null;
  }

  watch() {
    if (this.abort !== null && performance.now() - this.heard > SILENCE_MS) {
      this.abort.abort("silent");
    }
  }

  async keep(run) {
    let failures = 0;
    while (run === this.run) {
      this.toldAny = false;
      const reason = await this.once(run);
      if (run !== this.run || reason === null) return;
      failures = this.toldAny ? 0 : failures + 1;
      this.lost(reason);
      const pause = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)];
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  /** One connection to its end: why it ended; null when the key is not enough. */
  async once(run) {
    this.abort = new AbortController();
    this.heard = performance.now();
    try {
      const answer = await fetch("v1/live", {
        headers: this.headers(), cache: "no-store", signal: this.abort.signal,
      });
      if (run !== this.run) return null;
      if (answer.status === 401 || answer.status === 403) {
        this.refused(answer.status, await errorOf(answer));
        return null;
      }
      if (!answer.ok) return await errorOf(answer);
      await this.read(answer.body, run);
      return "The service ended the connection.";
    } catch (error) {
      return this.abort?.signal.reason === "silent"
        ? "The service has said nothing for 20 s." : "The service cannot be reached.";
    } finally {
      if (run === this.run) this.abort = null;
    }
  }

  async read(body, run) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let kept = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || run !== this.run) return;
      this.heard = performance.now();
      const parts = (kept + value).split("\n\n");
      kept = parts.pop();
      for (const part of parts) {
        if (part.startsWith("data: ")) {
          this.toldAny = true;
          this.told(JSON.parse(part.slice(6)));
        }
      }
    }
  }
}

/** The words of an answer that is an error. */
export async function errorOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The service answered with status ${answer.status}.`;
  }
}
