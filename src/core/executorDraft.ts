import type { ClassAbout } from './classArguments.ts';
import { defaultSize } from './dockerExecutor.ts';
import {
  adviseExecutor,
  builtinExecutor,
  type Executor,
  type LocalExecutor,
  nameTaken,
  readExecutor,
} from './executor.ts';
import { type CodeApi, executorCode, whyNoCode } from './executorCode.ts';
import {
  carriedOver,
  type FormValues,
  fieldsOf,
  formValues,
  type KindForm,
  type Profile,
  readForm,
} from './executorForm.ts';
import { idleSeconds } from './imageExecutor.ts';
import { judgeArguments } from './judgeArguments.ts';
import { startTimeoutMs, startWorkers } from './kubernetesExecutor.ts';
import type { SavedExecutor } from './savedExecutor.ts';
import type { Advice, Machine } from './scaling.ts';

/** An executor as it is being edited. */
export interface Draft {
  /** The executor of the settings that it changes, as {@link Saved} calls it; undefined: it is a new one. */
  readonly saved?: string | undefined;
  /** That executor as it was when the draft was made from it: what differs from this was entered. */
  readonly base?: Profile | undefined;
  /** As the settings have it: it may be none that there is. */
  readonly kind: string;
  readonly values: FormValues;
  /** What stands in the forms of other kinds, by kind. */
  readonly others: Readonly<Record<string, FormValues>>;
  /** What the code that it was filled from says besides. */
  readonly leftOut?: readonly string[] | undefined;
}

/** An executor of the settings, right or wrong. */
export interface Saved {
  /** Its name, or its place in the list where it has none of its own. */
  readonly key: string;
  /** Undefined: it is the one that is there without settings. */
  readonly index?: number;
  readonly profile: Profile;
}

/** All that can be edited: what the setting `flowClusters.executors` has, and what there is without it. */
export function savedExecutors(setting: unknown): Saved[] {
  const keys = new Set<string>();
  const listed = (Array.isArray(setting) ? setting : []).map((raw: unknown, index): Saved => {
    const profile = typeof raw === 'object' && raw !== null ? (raw as Profile) : {};
    const place = `executor ${index + 1}`;
    const name = typeof profile.name === 'string' && profile.name !== '' ? profile.name : place;
    const key = keys.has(name) ? `${name} (${place})` : name;
    keys.add(key);
    return { key, index, profile };
  });
  const { name } = builtinExecutor;
  return listed.some(({ key }) => key === name)
    ? listed
    : [...listed, { key: name, profile: { ...builtinExecutor } }];
}

/** The draft that shows an executor of the settings as it is, or an empty one of a kind. */
export function draftOf(forms: readonly KindForm[], saved: Saved | undefined, kind = 'local'): Draft {
  const base = saved?.profile;
  const form = formOf(forms, base ? String(base.kind ?? '') : kind);
  return { saved: saved?.key, base, kind: form.kind, values: formValues(form, base ?? {}), others: {} };
}

/**
 * A draft filled from what code says. What stood in the form of another kind is kept for that.
 * @param draft the one that is to be filled; its executor of the settings stays the one that is changed
 * @param was what the code of the draft as it is says: only what differs from that goes into the fields, as they may say more
 */
export function filledDraft(
  forms: readonly KindForm[],
  { profile, leftOut }: SavedExecutor,
  { saved, base, kind, values, others }: Draft,
  was?: SavedExecutor,
): Draft {
  const form = formOf(forms, profile.kind);
  const isSameKind = kind === form.kind && was?.profile.kind === kind;
  const before = isSameKind ? formValues(form, { ...was.profile }) : {};
  const read = Object.entries(formValues(form, { ...profile }));
  const filled = read.map(([path, value]) => {
    const stays = path in before && same(before[path], value);
    return [path, (stays ? values[path] : undefined) ?? value] as const;
  });
  return {
    ...{ saved, base, kind: form.kind, values: Object.fromEntries(filled) },
    others: kind === form.kind ? others : { ...others, [kind]: values },
    ...(leftOut.length > 0 && { leftOut }),
  };
}

/** The form of a kind; one without fields where there is no such kind. */
export const formOf = (forms: readonly KindForm[], kind: string): KindForm =>
  forms.find((one) => one.kind === kind) ?? { kind, help: kind && `There is no kind ${kind}.`, groups: [] };

/** The draft in the form of another kind. */
export function withKind(draft: Draft, forms: readonly KindForm[], kind: string): Draft {
  const { saved, base, kind: from, values, others } = draft;
  const form = formOf(forms, kind);
  // What the settings have for this kind already was thrown away by nobody.
  const earlier = others[kind] ?? formValues(form, base ?? {});
  const carried = carriedOver(formOf(forms, from), form, values, earlier);
  return { saved, base, kind, values: carried, others: { ...others, [from]: values } };
}

/**
 * The draft on top of what the settings have now, if they were changed meanwhile: what was not entered here is as it is
 * there. A draft in which something was entered that has changed there too stays as it is.
 * @param insist what was entered counts in any case
 */
export function rebased(
  draft: Draft,
  forms: readonly KindForm[],
  now: Saved | undefined,
  insist = false,
): Draft {
  const { base } = draft;
  if (!base || !now || same(base, now.profile)) return draft;
  if (!insist && conflicts(draft, forms, now.profile).length > 0) return draft;
  const moved = (kind: string, values: FormValues): FormValues => {
    const form = formOf(forms, kind);
    const [was, is] = [formValues(form, base), formValues(form, now.profile)];
    const untouched = Object.entries(is).filter(([path]) => same(values[path], was[path]));
    return { ...values, ...Object.fromEntries(untouched) };
  };
  const others = Object.entries(draft.others).map(([kind, values]) => [kind, moved(kind, values)] as const);
  return {
    ...draft,
    base: now.profile,
    values: moved(draft.kind, draft.values),
    others: Object.fromEntries(others),
  };
}

/** The paths of what was entered in a draft and changed otherwise in the settings. */
function conflicts({ base = {}, kind, values }: Draft, forms: readonly KindForm[], now: Profile): string[] {
  if (!same(base.kind, now.kind)) return ['kind'];
  const form = formOf(forms, kind);
  const [was, is] = [formValues(form, base), formValues(form, now)];
  return Object.keys(is).filter(
    (path) => ![was[path], is[path]].some((one) => same(one, values[path])) && !same(was[path], is[path]),
  );
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What is shown beside the form. */
export interface DraftCheck {
  /** As the settings would have it. */
  readonly profile: Profile;
  /** Undefined while something is wrong. */
  readonly executor?: Executor;
  /** What its code is made from, which does without a name of its own, and whatever its class makes of the arguments. */
  readonly sayable?: Executor;
  /** By the fields' paths. */
  readonly problems: Readonly<Record<string, string>>;
  /** What is wrong with no field of the form, then what is to be known. */
  readonly findings: readonly Advice[];
  /** By the fields' paths: what holds where nothing is entered. */
  readonly usual: Readonly<Record<string, string>>;
  /** Something was entered that the settings do not have. */
  readonly changed: boolean;
  /** It can be saved, and is not yet. */
  readonly savable: boolean;
  /** The settings have something else now than the draft was made from, and both can't be kept: what. */
  readonly outdated?: string;
}

/** What a draft is checked against. */
export interface DraftContext {
  readonly forms: readonly KindForm[];
  readonly saved: readonly Saved[];
  /** Where local clusters are started. */
  readonly machine: Machine;
  /** Counts where it is the class that the draft names. */
  readonly about?: ClassAbout | undefined;
}

/** Reads and checks a draft. */
export function checkDraft(draft: Draft, { forms, saved, machine, about }: DraftContext): DraftCheck {
  const form = formOf(forms, draft.kind);
  const before = saved.find(({ key }) => key === draft.saved);
  const { base = {} } = draft;
  // Of a kind that there is not nothing is known, so nothing is left out.
  const { profile, problems: unreadable } = forms.includes(form)
    ? readForm(form, draft.values, base, forms)
    : { profile: base, problems: {} };
  const read = readExecutor(profile);
  const problems: Record<string, string> = { ...unreadable };
  const findings: Advice[] = [];
  const paths = new Set(['kind', ...fieldsOf(form).map(({ path }) => path)]);
  for (const { path, message } of 'problems' in read ? read.problems : []) {
    const at = path.map((_, i) => path.slice(0, path.length - i).join('.')).find((one) => paths.has(one));
    if (at === undefined) findings.push({ severity: 'error', message });
    else if (!Object.keys(unreadable).some((bad) => bad === at || bad.startsWith(`${at}.`)))
      problems[at] ??= message;
  }
  if (profile.kind === 'clusterClass' && about?.description && about.path === profile.cluster_class) {
    const judged = judgeArguments(profile.cluster_kwargs, about.description);
    for (const [name, problem] of Object.entries(judged.problems))
      problems[`cluster_kwargs.${name}`] ??= problem;
    findings.push(...judged.findings);
  }
  // The one that is there without settings gives way to one of its name.
  const others = saved.filter(({ key, index }) => key !== draft.saved && index !== undefined);
  if (others.some((one) => one.profile.name === profile.name)) problems.name ??= nameTaken;
  const executor = 'executor' in read && Object.keys(problems).length === 0 ? read.executor : undefined;
  const named = executor ? read : readExecutor({ ...profile, name: profile.name ?? usualName });
  const sayable = Object.keys(unreadable).length === 0 && 'executor' in named ? named.executor : undefined;
  if (draft.leftOut?.length)
    findings.push({
      severity: 'warning',
      message: `Of the code this is not kept: ${draft.leftOut.join(', ')}.`,
    });
  if (executor) findings.push(...adviseExecutor(executor, machine));
  const changed = before
    ? !same(profile, before.profile)
    : Object.keys(profile).some((key) => key !== 'kind');
  const outdated =
    before && draft.base && !same(base, before.profile)
      ? `${conflicts(draft, forms, before.profile).join(', ') || 'It'} changed in the settings meanwhile.`
      : undefined;
  return {
    profile,
    ...(executor && { executor }),
    ...(sayable && { sayable }),
    ...(outdated !== undefined && { outdated }),
    problems,
    findings,
    usual: usualValues(profile, machine),
    changed,
    savable: executor !== undefined && outdated === undefined && (changed || before?.index === undefined),
  };
}

/** What holds where an option is left out, as far as it can be told, by the fields' paths. */
function usualValues(profile: Profile, machine: Machine): Readonly<Record<string, string>> {
  const limits = { 'adapt_kwargs.minimum': '0', 'adapt_kwargs.maximum': 'none' };
  const { kind, adapt_kwargs } = profile;
  switch (kind) {
    case 'local':
      return { ...limits, ...localSize(profile, machine), ...{ processes: 'true', memory_limit: 'auto' } };
    case 'docker':
      return { ...limits, pull: 'missing', idle_timeout: String(idleSeconds({})) };
    case 'kubernetes': {
      const empty = { name: '', kind, image: '' } as const;
      const adaptive = typeof adapt_kwargs === 'object' && adapt_kwargs !== null ? { adapt_kwargs } : {};
      return {
        ...limits,
        n_workers: String(startWorkers({ ...empty, ...adaptive })),
        idle_timeout: String(idleSeconds({})),
        start_timeout: String(startTimeoutMs(empty) / 1000),
      };
    }
    case 'localDask':
      return { scheduler: 'threads', num_workers: String(machine.cores) };
    default:
      return {};
  }
}

/** As `LocalCluster` of `distributed.deploy.local` sizes itself, for a machine of so many cores. */
function localSize(profile: Profile, { cores }: Machine): Readonly<Record<string, string>> {
  const { n_workers, threads_per_worker, processes = true, adapt_kwargs } = profile as Partial<LocalExecutor>;
  const usual = processes ? defaultSize(cores) : { workers: 1, threads: cores };
  const threads = n_workers ? Math.max(1, Math.ceil(cores / n_workers)) : usual.threads;
  const perThreads =
    processes && threads_per_worker ? Math.max(1, Math.floor(cores / threads_per_worker)) : 1;
  const workers = threads_per_worker ? perThreads : usual.workers;
  return {
    // Adaptive scaling starts few.
    ...(!adapt_kwargs && { n_workers: String(workers) }),
    threads_per_worker: String(threads),
    scheduler_port: 'any free one',
  };
}

/** What code calls an executor that has no name yet. */
export const usualName = 'executor';

/** An executor in somebody's words. */
export interface CodeTab {
  readonly title: string;
  readonly text?: string;
  readonly language: 'python' | 'json' | 'yaml';
  /** The form follows what is written there. */
  readonly editable: boolean;
  /** Why there is no text, or none that can be edited. */
  readonly why?: string;
}

const apis: readonly (readonly [CodeApi, string])[] = [
  ['prefect3', 'Prefect 2 and 3'],
  ['prefect1', 'Prefect 1'],
  ['dask', 'Dask'],
];

/** Texts that take a moment to be written, by the titles of their tabs; or why there are none. */
export type LateTexts = Readonly<Record<string, Pick<CodeTab, 'text' | 'why'>>>;

/** Titles of the texts of pods: their code by API, their manifests. */
export const lateTitles: readonly (readonly [CodeApi | 'manifests', string])[] = [
  ...apis,
  ['manifests', 'YAML'],
];

/**
 * The same executor as code of each API, and as it stands in the settings, in JSON and YAML.
 * @param late those that were written meanwhile
 */
export function codeTabs(
  { sayable, profile }: Pick<DraftCheck, 'sayable' | 'profile'>,
  late: LateTexts,
): CodeTab[] {
  const json = JSON.stringify(profile, undefined, 2);
  const settings: CodeTab = { title: 'JSON', text: json, language: 'json', editable: true };
  if (profile.kind === 'kubernetes') {
    const none: LateTexts[string] = { why: sayable ? 'Writing it…' : noCode };
    const written = lateTitles.map(([api, title]): CodeTab => {
      const language = api === 'manifests' ? 'yaml' : 'python';
      const { text, why = oneWay } = late[title] ?? none;
      return { title, ...(text !== undefined && { text }), language, editable: false, why };
    });
    return written.toSpliced(apis.length, 0, settings);
  }
  const code = apis.map(([api, title]): CodeTab => {
    const tab = { title, language: 'python', editable: true } as const;
    if (!sayable) return { ...tab, why: noCode };
    const text = executorCode(sayable, api);
    return text === undefined ? { ...tab, why: whyNoCode(sayable, api) ?? '' } : { ...tab, text };
  });
  const yaml = late.YAML ?? { why: 'Writing it…' };
  return [...code, settings, { title: 'YAML', language: 'yaml', editable: true, ...yaml }];
}

const noCode = 'There is code when the form has no problem.';
const oneWay = 'To be copied: what pods are told has no way back into the form. JSON has.';
