import { useEffect, useState } from 'preact/hooks';

import { type Api, told } from './api';
import { Dialog } from './dialog';
import { TYPING_MS } from './filters';
import { count } from './kind';
import type { Plan, Restarted, State, TopologyPlan } from './model';
import { costOf, linesOf, wrongIn } from './plan';

/** A change that somebody wants to look at, before he asks for it. */
export type Asking = { what: 'reshape' } | { what: 'scale'; group: string } | { what: 'restart'; group?: string };

/** How a change ended that was asked for here. */
export interface Ending {
  good: boolean;
  text: string;
  /** What drains had to leave undone, or what to do about it. */
  more: string[];
}

interface Wish {
  path: 'reshape' | 'scale' | 'restart';
  body: object;
  /** `Reshaped to micro`. */
  done: string;
}

/** Has a change made; returns how it ended. */
export async function make(api: Api, { path, body, done }: Wish): Promise<Ending> {
  try {
    const { outcome, why, left } = await api.post<Plan | Restarted>(path, body);
    return outcome === 'failed'
      ? { good: false, text: `It was given up: ${why ?? 'it is not known why'}`, more: ['What was there before serves on.'] }
      : { good: true, text: done, more: left ?? [] };
  } catch (error) {
    const { what, mend } = told(error);
    return { good: false, text: what, more: mend === '' ? [] : [mend] };
  }
}

interface Props {
  asking: Asking;
  api: Api;
  state: State;
  make: (wish: Wish) => void;
  close: () => void;
}

/** Shows what a change would do, and asks for it if that is wanted. */
export function ChangeDialog(props: Props) {
  const { asking } = props;
  switch (asking.what) {
    case 'reshape':
      return <ReshapeDialog {...props} />;
    case 'scale':
      return <ScaleDialog {...props} group={asking.group} />;
    case 'restart':
      return <RestartDialog {...props} group={asking.group} />;
  }
}

function ReshapeDialog({ api, state, make, close }: Props) {
  const [topologies, setTopologies] = useState<TopologyPlan[]>([]);
  const [failure, setFailure] = useState<string>();
  const [topology, setTopology] = useState<string>();
  const [replicas, setReplicas] = useState('');
  useEffect(() => {
    api.get<TopologyPlan[]>('topologies').then(setTopologies, (error) => setFailure(told(error).what));
  }, [api]);
  const body = topology === undefined ? undefined : { topology, ...(replicas.trim() === '' ? {} : { replicas: replicas.trim() }) };
  const wrong = replicas.trim() === '' ? undefined : wrongIn(replicas);
  const planned = usePlan(api, 'reshape', body, wrong);
  return (
    <Dialog title="Divide the components anew" close={close}>
      {failure !== undefined && <p class="wrong">✕ {failure}</p>}
      <fieldset class="topologies">
        <legend>Into which topology?</legend>
        {topologies.map(({ name, groups, problem }) => {
          const processes = groups.reduce((sum, group) => sum + group.replicas, 0);
          const about = problem ?? `${count(groups.length, 'group')}, ${count(processes, 'process', 'processes')}`;
          return (
            <label key={name} class={problem === undefined ? '' : 'impossible'}>
              <input
                type="radio"
                name="topology"
                value={name}
                disabled={problem !== undefined}
                checked={topology === name}
                onChange={() => setTopology(name)}
              />
              <span class="name">{name}</span>
              <span class="about">
                {about}
                {name === state.status.topology && ' · runs now'}
              </span>
            </label>
          );
        })}
      </fieldset>
      <label class="field">
        <span>Replicas</span>
        <input
          type="text"
          name="replicas"
          value={replicas}
          placeholder="as the topology has it; or 3, or Catalog=2"
          onInput={(event) => setReplicas(event.currentTarget.value)}
          autocomplete="off"
        />
      </label>
      <Preview planned={planned} hint="Choose one, and see here what it would do." />
      <Buttons
        close={close}
        can={planned.plan !== undefined && planned.plan.groups.length > 0}
        word={topology === undefined ? 'Reshape' : `Reshape to ${topology}`}
        act={() => body !== undefined && make({ path: 'reshape', body, done: `Reshaped to ${body.topology}` })}
      />
    </Dialog>
  );
}

function ScaleDialog({ api, state, make, close, group: name }: Props & { group: string }) {
  const group = state.status.groups.find((one) => one.name === name);
  const now = group?.scaling === undefined ? String(group?.replicas.length ?? 1) : `${group.scaling.min}..${group.scaling.max}`;
  const [size, setSize] = useState(now);
  const body = size.trim() === '' || size === now ? undefined : { groups: { [name]: size.trim() } };
  const planned = usePlan(api, 'scale', body, body === undefined ? undefined : wrongIn(size));
  return (
    <Dialog title={`Scale ${name}`} close={close}>
      <p class="quiet">
        {group?.components.join(', ')}: {count(group?.replicas.length ?? 0, 'replica')} now
        {group?.scaling !== undefined && ` (${group.scaling.why})`}
      </p>
      <label class="field">
        <span>Replicas</span>
        <input
          type="text"
          name="size"
          value={size}
          placeholder="3, or 1..6 by what they bear"
          onInput={(event) => setSize(event.currentTarget.value)}
          autocomplete="off"
        />
      </label>
      <Preview planned={planned} hint="A number, or a range such as 1..6 within which the control plane chooses by what they bear." />
      <Buttons
        close={close}
        can={planned.plan !== undefined && planned.plan.groups.length > 0}
        word={`Scale to ${size.trim() || '…'}`}
        act={() => body !== undefined && make({ path: 'scale', body, done: `Scaled ${name} to ${size.trim()}` })}
      />
    </Dialog>
  );
}

function RestartDialog({ state, make, close, group }: Props & { group: string | undefined }) {
  const groups = state.status.groups.filter((one) => group === undefined || one.name === group || one.components.includes(group));
  const replicas = groups.reduce((sum, one) => sum + one.replicas.length, 0);
  return (
    <Dialog title={group === undefined ? 'Restart every replica' : `Restart ${group}`} close={close}>
      <p>
        {count(replicas, 'replica')} of {groups.map((one) => one.name).join(', ')} {replicas === 1 ? 'is' : 'are'} started anew, one by one,
        while the others serve. Each group first gets one replica more. If a new one does not get ready, nothing more is stopped.
      </p>
      <Buttons
        close={close}
        can={replicas > 0}
        word="Restart"
        act={() => make({ path: 'restart', body: group === undefined ? {} : { group }, done: `Restarted ${count(replicas, 'replica')}` })}
      />
    </Dialog>
  );
}

function Buttons({ close, can, word, act }: { close: () => void; can: boolean; word: string; act: () => void }) {
  return (
    <footer class="buttons">
      <button type="button" onClick={close}>
        Leave it as it is
      </button>
      <button
        type="button"
        class="main act"
        disabled={!can}
        onClick={() => {
          act();
          close();
        }}
      >
        {word}
      </button>
    </footer>
  );
}

interface Planned {
  plan: Plan | undefined;
  failure: string | undefined;
  asked: boolean;
}

const NOT_PLANNED: Planned = { plan: undefined, failure: undefined, asked: false };

/** What the change would do, asked anew for each other `body`; not asked where it is known to be wrong. */
function usePlan(api: Api, path: string, body: object | undefined, wrong: string | undefined): Planned {
  const [planned, setPlanned] = useState<Planned>(NOT_PLANNED);
  const wish = JSON.stringify(body);
  useEffect(() => {
    setPlanned({ ...NOT_PLANNED, failure: wrong, asked: wish !== undefined });
    if (wish === undefined || wrong !== undefined) {
      return;
    }
    let current = true;
    const timer = setTimeout(() => {
      api.post<Plan>(path, { ...(JSON.parse(wish) as object), dry_run: true }).then(
        (plan) => current && setPlanned({ plan, failure: undefined, asked: true }),
        (error) => current && setPlanned({ plan: undefined, failure: told(error).what, asked: true }),
      );
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [api, path, wish, wrong]);
  return planned;
}

function Preview({ planned: { plan, failure, asked }, hint }: { planned: Planned; hint: string }) {
  return (
    <section class="preview" aria-live="polite" aria-label="What it would do">
      {failure !== undefined ? (
        <p class="wrong">✕ {failure}</p>
      ) : plan === undefined ? (
        <p class="quiet">{asked ? 'Asking what it would do…' : hint}</p>
      ) : plan.groups.length === 0 ? (
        <p class="quiet">Nothing: it is so already.</p>
      ) : (
        <PlanView plan={plan} />
      )}
    </section>
  );
}

function PlanView({ plan }: { plan: Plan }) {
  return (
    <>
      {costOf(plan).map((line) => (
        <p key={line} class="cost">
          {line}
        </p>
      ))}
      <ul class="plan">
        {linesOf(plan).map(({ mark, word, group, text }) => (
          <li key={group} class={word}>
            <span class="mark" aria-hidden="true">
              {mark}
            </span>
            <span class="word">{word}</span>
            <b>{group}</b>
            <span class="text">{text}</span>
          </li>
        ))}
      </ul>
      <p class="quiet">What is new starts first; when all of it is ready calls go there, and what was before drains.</p>
    </>
  );
}
