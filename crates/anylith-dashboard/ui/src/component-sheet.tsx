import { useEffect, useState } from 'preact/hooks';

import type { Api } from './api';
import type { Asking } from './changes';
import { Dialog } from './dialog';
import { type EdgeName, dependents, edgeKey } from './edges';
import { Fact } from './fact';
import { bytes, cores, rate, time } from './figures';
import { LogList } from './log-list';
import type { Graph, State } from './model';
import type { Numbers } from './numbers';
import { Sign } from './sign';
import { timeOf } from './subject';

interface Props {
  name: string;
  api: Api;
  state: State;
  numbers: Numbers;
  graph: Graph | undefined;
  ask: (asking: Asking) => void;
  open: (component: string) => void;
  openEdge: (edge: EdgeName) => void;
  close: () => void;
}

const SHAPES = {
  unary: '',
  server_streaming: 'streams answers',
  client_streaming: 'takes a stream',
  bidirectional: 'streams both ways',
};

/** One component: what it is, who needs it, where it runs, what it was told, and what it says. */
export function ComponentSheet({ name, api, state, numbers, graph, ask, open, openEdge, close }: Props) {
  const component = graph?.components.find((one) => one.name === name);
  const users = graph === undefined ? [] : dependents(graph.components, name);
  const groups = state.status.groups.filter((group) => group.components.includes(name));
  const now = numbers.component(name);
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
      {now !== undefined && numbers.counted && (
        <section>
          <h3>Now</h3>
          <dl class="facts figures">
            <Fact title="Called" value={rate(now.calls_per_second)} />
            <Fact title="p50 · p99" value={`${time(now.p50_us)} · ${time(now.p99_us)}`} />
            <Fact title="Failed" value={rate(now.failed_per_second)} />
            <Fact title="Its own code" value={cores(now.cores)} />
          </dl>
          <p>
            <a href={timeOf({ of: 'component', component: name })} onClick={close}>
              In the view Time
            </a>
          </p>
        </section>
      )}
      {graph !== undefined && <Edges name={name} numbers={numbers} callees={component?.dependencies ?? []} callers={users} openEdge={openEdge} />}
      <section>
        <h3>Replicas</h3>
        <table>
          <thead>
            <tr>
              <th scope="col">Replica</th>
              <th scope="col">State</th>
              <th scope="col">Process</th>
              <th scope="col">CPU</th>
              <th scope="col">Memory</th>
              <th scope="col">Restarts</th>
            </tr>
          </thead>
          <tbody>
            {groups.flatMap((group) =>
              group.replicas.map((replica) => {
                const need = numbers.replica(replica.id);
                return (
                  <tr key={replica.id}>
                    <th scope="row">{replica.id}</th>
                    <td>
                      <Sign replica={replica} />
                    </td>
                    <td>{replica.pid ?? '–'}</td>
                    <td>{need?.cores === undefined ? '–' : cores(need.cores)}</td>
                    <td>{need?.memory_bytes === undefined ? '–' : bytes(need.memory_bytes)}</td>
                    <td>{replica.restarts}</td>
                  </tr>
                );
              }),
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
        <header class="beside">
          <h3>Logs</h3>
          <a href={`#/logs?component=${encodeURIComponent(name)}`} onClick={close}>
            All of them
          </a>
        </header>
        <LogList api={api} query={{ component: name, lines: '100' }} />
      </section>
    </Dialog>
  );
}

interface EdgesProps {
  name: string;
  numbers: Numbers;
  callees: string[];
  callers: string[];
  openEdge: (edge: EdgeName) => void;
}

/** The edges of a component, with what goes along them. */
function Edges({ name, numbers, callees, callers, openEdge }: EdgesProps) {
  const edges = [...callees.map((callee) => ({ caller: name, callee })), ...callers.map((caller) => ({ caller, callee: name }))];
  return edges.length === 0 ? null : (
    <section>
      <h3>Edges</h3>
      <ul class="edge-list">
        {edges.map(({ caller, callee }) => {
          const now = numbers.edge(caller, callee);
          const verdict = numbers.verdict(caller, callee);
          return (
            <li key={edgeKey(caller, callee)} class={verdict?.tone ?? 'idle'}>
              <button type="button" class="plain link" onClick={() => openEdge({ caller, callee })}>
                {caller} → {callee}
              </button>
              {numbers.counted && (
                <span class="quiet">
                  {now === undefined ? 'no calls' : `${rate(now.calls_per_second)}, p99 ${time(now.p99_us)}`}
                  {verdict !== undefined && verdict.short !== '' && <b class={verdict.tone}> {`${verdict.mark} ${verdict.short}`}</b>}
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </section>
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
