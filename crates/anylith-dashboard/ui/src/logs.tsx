import { useState } from 'preact/hooks';

import type { Api } from './api';
import { Choice, useSettled } from './filters';
import { LogList, type LogQuery } from './log-list';
import { type State, replicasOf } from './model';

/** The logs of all replicas as one. */
export function Logs({ api, state, wish }: { api: Api; state: State; wish: URLSearchParams }) {
  const [text, setText] = useState(wish.get('text') ?? '');
  const [level, setLevel] = useState('');
  const [component, setComponent] = useState(wish.get('component') ?? '');
  const [replica, setReplica] = useState(wish.get('replica') ?? '');
  const [trace, setTrace] = useState(wish.get('trace') ?? '');
  const [paused, setPaused] = useState(false);
  const sought = useSettled(text);
  const components = [...new Set(state.status.groups.flatMap((group) => group.components))].sort();
  const replicas = ['anylith', ...replicasOf(state.status).map(({ replica: { id } }) => id)];
  const query: LogQuery = { component, replica, level, text: sought, trace, lines: '500' };
  return (
    <main class="logs">
      <header class="heading">
        <div>
          <h1>Logs</h1>
          {trace === '' ? (
            <p>of all replicas, in time order</p>
          ) : (
            <p>
              written for the trace <a href={`#/calls?id=${trace}`}>{trace.slice(0, 8)}…</a>{' '}
              <button type="button" class="plain" onClick={() => setTrace('')}>
                Show all
              </button>
            </p>
          )}
        </div>
        <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
          <label>
            Text <input type="search" name="text" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          <Choice name="level" title="Level" value={level} set={setLevel} all="all" options={['debug', 'info', 'warn', 'error']} />
          <Choice name="component" title="Component" value={component} set={setComponent} all="all" options={components} />
          <Choice name="replica" title="Replica" value={replica} set={setReplica} all="all" options={replicas} />
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? '▶ Follow' : '❚❚ Pause'}
          </button>
        </form>
      </header>
      <LogList api={api} query={query} paused={paused} />
    </main>
  );
}
