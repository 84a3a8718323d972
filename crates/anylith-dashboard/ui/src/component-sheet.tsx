import { useEffect, useState } from 'preact/hooks';

import type { Api } from './api';
import type { Asking } from './changes';
import { Dialog } from './dialog';
import { dependents } from './edges';
import { LogList } from './log-list';
import type { Graph, State } from './model';
import { Sign } from './sign';

interface Props {
  name: string;
  api: Api;
  state: State;
  graph: Graph | undefined;
  ask: (asking: Asking) => void;
  open: (component: string) => void;
  close: () => void;
}

const SHAPES = {
  unary: '',
  server_streaming: 'streams answers',
  client_streaming: 'takes a stream',
  bidirectional: 'streams both ways',
};

/** One component: what it is, who needs it, where it runs, what it was told, and what it says. */
export function ComponentSheet({ name, api, state, graph, ask, open, close }: Props) {
  const component = graph?.components.find((one) => one.name === name);
  const users = graph === undefined ? [] : dependents(graph.components, name);
  const groups = state.status.groups.filter((group) => group.components.includes(name));
  return (
    <Dialog title={name} sheet close={close}>
      {component?.summary && <p>{component.summary}</p>}
      <dl class="facts">
        <Names title="Dependent on" names={component?.dependencies ?? []} open={open} />
        <Names title="Needed by" names={users} open={open} />
        {component?.listeners.map((listener) => {
          const url = state.status.listeners[listener];
          return (
            <div key={listener}>
              <dt>Listener</dt>
              <dd>
                {listener}{' '}
                {url !== undefined && (
                  <a href={url} target="_blank" rel="noreferrer">
                    {url}
                  </a>
                )}
              </dd>
            </div>
          );
        })}
      </dl>
      <section>
        <h3>Replicas</h3>
        <table>
          <thead>
            <tr>
              <th scope="col">Replica</th>
              <th scope="col">State</th>
              <th scope="col">Process</th>
              <th scope="col">Restarts</th>
            </tr>
          </thead>
          <tbody>
            {groups.flatMap((group) =>
              group.replicas.map((replica) => (
                <tr key={replica.id}>
                  <th scope="row">{replica.id}</th>
                  <td>
                    <Sign replica={replica} />
                  </td>
                  <td>{replica.pid ?? '–'}</td>
                  <td>{replica.restarts}</td>
                </tr>
              )),
            )}
          </tbody>
        </table>
        <div class="buttons">
          {groups.map((group) => (
            <button key={group.name} type="button" onClick={() => ask({ what: 'scale', group: group.name })}>
              Scale {group.name}…
            </button>
          ))}
          <button type="button" onClick={() => ask({ what: 'restart', group: name })}>
            Restart…
          </button>
        </div>
      </section>
      {component !== undefined && component.methods.length > 0 && (
        <section>
          <h3>Methods</h3>
          <ul class="methods">
            {component.methods.map(({ name: method, idempotent, shape, routed }) => (
              <li key={method}>
                <code>{method}</code>{' '}
                <span class="quiet">
                  {[idempotent ? 'idempotent' : '', SHAPES[shape ?? 'unary'], routed ? `routed by ${routed}` : '']
                    .filter(Boolean)
                    .join(', ')}
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Config api={api} name={name} />
      <section class="own-log">
        <h3>Logs</h3>
        <LogList api={api} query={{ component: name, lines: '100' }} />
      </section>
    </Dialog>
  );
}

function Names({ title, names, open }: { title: string; names: string[]; open: (component: string) => void }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        {names.length === 0
          ? 'nobody'
          : names.map((name) => (
              <button key={name} type="button" class="plain link" onClick={() => open(name)}>
                {name}
              </button>
            ))}
      </dd>
    </div>
  );
}

function Config({ api, name }: { api: Api; name: string }) {
  const [config, setConfig] = useState<unknown>();
  useEffect(() => {
    let current = true;
    const found = api.get<{ config: unknown }>(`components/${encodeURIComponent(name)}`);
    found.then((component) => current && setConfig(component.config), () => {});
    return () => {
      current = false;
    };
  }, [api, name]);
  return config == null ? null : (
    <section>
      <h3>Config</h3>
      <p class="quiet">as it was started with; secrets are hidden</p>
      <pre tabindex={0}>{JSON.stringify(config, null, 2)}</pre>
    </section>
  );
}
