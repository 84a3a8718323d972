import { EventParser, type ServerEvent } from './sse';

/** Why the server did not do what it was asked for. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly what: string,
    readonly mend: string,
  ) {
    super(what);
  }
}

/** A stream that has been silent for longer is taken for lost: the server gives a sign of life every ten seconds. */
const SILENCE_MS = 35_000;

type Query = Record<string, string | undefined>;

/** The API of one run, for who has its token. */
export class Api {
  constructor(private readonly token: string) {}

  async get<T>(path: string, query: Query = {}): Promise<T> {
    const response = await this.send(path + asked(query), {});
    return (await response.json()) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const response = await this.send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return (await response.json()) as T;
  }

  /** Events until the stream ends, or `signal` ends it. A stream that falls silent fails. */
  async *events(path: string, query: Query, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    const silence = new AbortController();
    const ended = AbortSignal.any([signal, silence.signal]);
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await this.send(path + asked(query), { signal: ended });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new EventParser();
      while (reader !== undefined) {
        const { done, value } = await reader.read();
        if (done) {
          return;
        }
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        yield* parser.feed(value);
      }
    } finally {
      clearTimeout(timer);
      // Whoever stops listening closes the connection, too.
      silence.abort();
    }
  }

  private async send(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${this.token}` };
    const response = await fetch(`/api/v1/${path}`, {
      ...init,
      headers,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
    if (response.ok) {
      return response;
    }
    const told = (await response.json().catch(() => ({}))) as { what?: string; mend?: string };
    throw new Refused(response.status, told.what ?? `the server says ${response.status}`, told.mend ?? '');
  }
}

function asked(query: Query): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}

/** What went wrong, for people. */
export function told(error: unknown): { what: string; mend: string } {
  if (error instanceof Refused) {
    return { what: error.what, mend: error.mend };
  }
  return { what: 'the server does not answer', mend: 'does the application still run?' };
}
