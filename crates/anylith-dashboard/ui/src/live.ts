import { useEffect, useState } from 'preact/hooks';

import { type Api, Refused } from './api';
import { type Difference, type Now, type State, changed } from './model';
import { seamless } from './stream';

/** How well the page knows what goes on. */
export type Connection =
  /** It has not been told anything yet. */
  | 'connecting'
  /** What it shows is so now. */
  | 'live'
  /** What it shows was so; it tries again. */
  | 'lost'
  /** The server is there, and the supervisor does not answer it. */
  | 'silent'
  /** The token is not the one of this run. */
  | 'refused';

export interface View {
  state: State | undefined;
  /** What goes on, if that is known. */
  now: Now | undefined;
  connection: Connection;
}

/** The application as it is now, kept so by the server's events. */
export class Live {
  view: View = { state: undefined, now: undefined, connection: 'connecting' };
  private readonly watchers = new Set<() => void>();

  constructor(private readonly api: Api) {}

  /** Listens for ever: but for the time that nobody can see the page. */
  async run(): Promise<void> {
    await seamless({
      events: (signal) => this.api.events('events', {}, signal),
      take: ({ name, data }) => this.take(name, data),
      lost: (error) => {
        const refused = error instanceof Refused && error.status === 401;
        this.show({ ...this.view, connection: refused ? 'refused' : 'lost' });
        return !refused;
      },
    });
  }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  private take(name: string, data: string): void {
    const { state, now } = this.view;
    if (name === 'state') {
      this.show({ state: JSON.parse(data) as State, now, connection: 'live' });
    } else if (name === 'change' && state !== undefined) {
      this.show({ state: changed(state, JSON.parse(data) as Difference), now, connection: 'live' });
    } else if (name === 'now') {
      this.show({ ...this.view, now: JSON.parse(data) as Now });
    } else if (name === 'lost') {
      this.show({ state, now: undefined, connection: 'silent' });
    }
  }

  private show(view: View): void {
    this.view = view;
    for (const watcher of this.watchers) {
      watcher();
    }
  }
}

/** What is known now; the component is drawn again when that changes. */
export function useLive(live: Live): View {
  const [view, setView] = useState(live.view);
  useEffect(() => {
    // It may have changed since the component was drawn.
    setView(live.view);
    return live.watch(() => setView(live.view));
  }, [live]);
  return view;
}
