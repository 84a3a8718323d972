import { useRef } from 'preact/hooks';

import type { Asking } from './changes';
import { useFlights } from './flights';
import { bytes, cores } from './figures';
import { Glyph } from './glyph';
import { count, kindOf } from './kind';
import type { Group, Replica, ReplicaNow, State } from './model';
import type { Numbers } from './numbers';
import { Sign, meaning } from './sign';

interface Props {
  state: State;
  numbers: Numbers;
  indices: Map<string, number>;
  ask: (asking: Asking) => void;
  open: (component: string) => void;
}

/** The application as it runs: this host, its processes, and the components in them. */
export function Shape({ state, numbers, indices, ask, open }: Props) {
  const root = useRef<HTMLDivElement>(null);
  useFlights(root);
  const { status } = state;
  const kind = kindOf(status);
  return (
    <main class="shape">
      <header class="heading">
        <div>
          <h1>{kind.name}</h1>
          <p>{kind.about}</p>
        </div>
        <div class="buttons">
          <button type="button" class="main" onClick={() => ask({ what: 'reshape' })}>
            Reshape…
          </button>
          <button type="button" onClick={() => ask({ what: 'restart' })}>
            Restart…
          </button>
        </div>
      </header>
      <section class="host" aria-label="This host" ref={root}>
        <header>
          <h2>This host</h2>
          {Object.entries(status.listeners).map(([name, url]) => (
            <span key={name} class="listener">
              {name}{' '}
              <a href={url} target="_blank" rel="noreferrer">
                {url.replace('http://', '')}
              </a>
            </span>
          ))}
        </header>
        <div class={`groups ${size(indices.size)}`}>
          {status.groups.map((group) => (
            <GroupBox
              key={group.name}
              group={group}
              numbers={numbers}
              indices={indices}
              ask={ask}
              open={open}
            />
          ))}
        </div>
      </section>
    </main>
  );
}

/** An application of a few components is drawn larger: it has the same room. */
function size(components: number): string {
  return components <= 12 ? 'few' : components <= 40 ? 'some' : 'many';
}

type GroupProps = Omit<Props, 'state'> & { group: Group };

function GroupBox({ group, numbers, indices, ask, open }: GroupProps) {
  const { name, replicas, scaling } = group;
  const size = scaling === undefined ? `× ${replicas.length}` : `× ${replicas.length} of ${scaling.min} to ${scaling.max}`;
  return (
    <section class="group" aria-label={`Group ${name}, ${count(replicas.length, 'replica')}`} data-group={name}>
      <header>
        <h3>{name}</h3>
        <span class="size" title={scaling?.why}>
          {size}
        </span>
        <button type="button" class="plain" aria-label={`Scale ${name}`} onClick={() => ask({ what: 'scale', group: name })}>
          Scale…
        </button>
      </header>
      <div class="replicas">
        {replicas.map((replica) => (
          <Process
            key={replica.id}
            replica={replica}
            components={group.components}
            copies={replicas.length}
            load={numbers.load(replica.id)}
            need={numbers.replica(replica.id)}
            told={numbers.now === undefined || numbers.counted}
            indices={indices}
            open={open}
          />
        ))}
        {replicas.length === 0 && (
          <div class="process dormant">
            <p>Nothing runs: the first call starts one.</p>
            <Tiles components={group.components} replica={undefined} copies={1} indices={indices} open={open} />
          </div>
        )}
      </div>
    </section>
  );
}

interface ProcessProps {
  replica: Replica;
  components: string[];
  /** How many replicas its group has. */
  copies: number;
  /** Of this host's cores, from 0 to 1. */
  load: number | undefined;
  need: ReplicaNow | undefined;
  /** Whether that is told, or will be: it has its room before it comes, or all boxes would move when it does. */
  told: boolean;
  indices: Map<string, number>;
  open: (component: string) => void;
}

function Process({ replica, components, copies, load, need, told, indices, open }: ProcessProps) {
  const { id, pid, restarts } = replica;
  const { word, tone } = meaning(replica);
  return (
    <article
      class={`process ${tone} is-${word}`}
      aria-label={`Process ${id}, ${word}`}
      data-replica={id}
      data-spot={`process ${id}`}
      title={need?.memory_bytes === undefined ? undefined : needs(need)}
    >
      {load !== undefined && (
        <span class="load" style={{ height: `${Math.round(load * 100)}%` }} aria-hidden="true" />
      )}
      <header>
        <h4>{id}</h4>
        <Sign replica={replica} />
      </header>
      <Tiles components={components} replica={replica} copies={copies} indices={indices} open={open} />
      <footer>
        {pid === null ? 'no process' : `process ${pid}`}
        {restarts > 0 && <span class="restarts"> · {count(restarts, 'restart')}</span>}
        {told && <span class="need">{need?.memory_bytes !== undefined && ` · ${needs(need)}`}</span>}
      </footer>
    </article>
  );
}

/** What a process keeps busy of this host's cores, and has in memory. */
function needs({ cores: busy, memory_bytes: memory = 0 }: ReplicaNow): string {
  return `${busy === undefined ? '–' : cores(busy)} · ${bytes(memory)}`;
}

interface TilesProps {
  components: string[];
  replica: Replica | undefined;
  copies: number;
  indices: Map<string, number>;
  open: (component: string) => void;
}

/** As many columns as make a process look like a window; where there are copies of it, they find room side by side. */
function columns(tiles: number, copies: number): number {
  return Math.min(10, Math.max(1, Math.floor(Math.sqrt((tiles * 1.7) / Math.min(3, copies)))));
}

function Tiles({ components, replica, copies, indices, open }: TilesProps) {
  const known = components.slice().sort((one, other) => (indices.get(one) ?? 0) - (indices.get(other) ?? 0));
  return (
    <ul class="tiles" style={{ '--columns': String(columns(known.length, copies)) }}>
      {known.map((name) => {
        const lives = replica?.state === 'ready' || replica?.unhealthy?.[name] !== undefined;
        const ill = replica?.unhealthy?.[name] !== undefined;
        return (
          <li key={name}>
            <button
              type="button"
              class={`tile ${lives ? 'lives' : 'hollow'}${ill ? ' ill' : ''}`}
              title={ill ? `unhealthy: ${replica?.unhealthy?.[name]}` : undefined}
              data-component={name}
              data-spot={lives ? `${name} in ${replica?.id}` : undefined}
              onClick={() => open(name)}
            >
              <Glyph index={indices.get(name) ?? 0} />
              <span class="name">{name}</span>
              {ill && <span class="ill-mark">!</span>}
            </button>
          </li>
        );
      })}
    </ul>
  );
}
