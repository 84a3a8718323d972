import type { ServerEvent } from './sse';

/** After a loss it is tried again so soon, and later each time that fails. */
const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 5_000;

export interface Source {
  events: (signal: AbortSignal) => AsyncIterable<ServerEvent>;
  take: (event: ServerEvent) => void;
  /** It was lost; returns whether to try again. */
  lost: (error: unknown) => boolean;
  /** Ends it for good. */
  until?: AbortSignal;
}

/**
 * Takes events as they come, and begins anew where the stream ends. While nobody can see the page there is no stream:
 * a browser has few connections to one server, for all of its tabs together.
 */
export async function seamless({ events, take, lost, until }: Source): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  while (until?.aborted !== true) {
    await visible();
    const hidden = new AbortController();
    const hide = () => document.hidden && hidden.abort();
    document.addEventListener('visibilitychange', hide);
    const signal = until === undefined ? hidden.signal : AbortSignal.any([hidden.signal, until]);
    let failure: unknown;
    try {
      for await (const event of events(signal)) {
        pause = FIRST_PAUSE_MS;
        take(event);
      }
    } catch (error) {
      failure = error;
    } finally {
      document.removeEventListener('visibilitychange', hide);
    }
    if (signal.aborted) {
      continue;
    }
    if (!lost(failure)) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function visible(): Promise<void> {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
  }
}
