import * as z from 'zod/mini';
import type { ClassAbout } from '../core/classArguments.ts';
import type { CodeTab, Draft, DraftCheck } from '../core/executorDraft.ts';
import type { KindForm } from '../core/executorForm.ts';
import type { Finding } from '../core/preflight/finding.ts';

/** An executor in the panel's list. */
export interface ListedExecutor {
  readonly key: string;
  /** It has changes that are not saved. */
  readonly changed: boolean;
  /** It is not in the settings any more. */
  readonly removed?: boolean;
}

/** What a check has found. */
export interface CheckedExecutor {
  /** `all is well`, `1 problem`; what is done as long as there is nothing yet. */
  readonly summary: string;
  readonly findings: readonly (Pick<Finding, 'severity' | 'message' | 'hint'> & {
    /** What its buttons say. */
    readonly actions: readonly string[];
  })[];
}

/** What the panel shows beside what was entered. */
export interface PanelView
  extends Pick<DraftCheck, 'problems' | 'findings' | 'usual' | 'changed' | 'savable' | 'outdated'> {
  /** What is being done, and can't be asked for again yet. */
  readonly busy: readonly PanelLane[];
  readonly executors: readonly ListedExecutor[];
  readonly code: readonly CodeTab[];
  /** What is known of the cluster class that is entered. */
  readonly about?: ClassAbout | undefined;
  /** Absent: it was not checked as it is now. */
  readonly checked?: CheckedExecutor | undefined;
  /** It can be run on: nothing is wrong. */
  readonly usable: boolean;
  /** What the button says that starts a cluster from it, or attaches to it; undefined: there is no cluster. */
  readonly start?: string | undefined;
  /** The settings do not have it any more. */
  readonly removed?: boolean;
  /** It stands in the settings and can be deleted. */
  readonly deletable: boolean;
  /** Where Save writes to: `workspace settings`. */
  readonly place: string;
}

/** What a panel keeps when its window closes: what is entered and not saved, the extension keeps. */
export interface PanelState {
  /** The executor that it shows. */
  readonly saved?: string | undefined;
  /** The title of the tab of code that it shows. */
  readonly tab?: string | undefined;
  /** Code that the form does not follow (yet). */
  readonly code?: EnteredCode | undefined;
}

/** Code that was changed by hand. */
export interface EnteredCode {
  /** Of its tab. */
  readonly title: string;
  readonly text: string;
}

/** What the extension sends to the panel. */
export type ToPanel =
  /** Another executor, or another kind of it. */
  | {
      readonly type: 'draw';
      /** Which drawing this is. */
      readonly drawing: number;
      readonly form: KindForm;
      readonly kinds: readonly string[];
      readonly draft: Draft;
      readonly view: PanelView;
      /** The code that it was filled from; then the drawing is the one that there was. */
      readonly read?: EnteredCode;
    }
  /**
   * The same one, checked.
   * @param answers what was asked for with what was entered
   * @param unread why the form could not be filled from code
   */
  | {
      readonly type: 'check';
      readonly view: PanelView;
      readonly answers?: PanelAction;
      readonly unread?: EnteredCode & { readonly problem: string };
    };

/** What a button of the panel asks for. */
export type PanelAction = (typeof actions)[number];

/** Actions of which one is done at a time: `edit` are those that change the settings or draw another executor. */
export type PanelLane = 'edit' | 'start' | 'run';

const actions = [
  ...(['save', 'start', 'run', 'new', 'duplicate', 'delete', 'discard', 'settings'] as const),
  /** Puts what was entered on top of what the settings have now. */
  'keep',
  /** Looks whether runs on it can begin. */
  'check',
  /** Reads what the cluster class takes. */
  'describe',
  'describe again',
] as const;

/** What is entered at the moment of a message. */
export interface Entered {
  /** The drawing that it was entered into: what came too late for the last one goes to no other executor. */
  readonly drawing: number;
  readonly draft: Omit<Draft, 'base'>;
  /** Code that the form has not followed yet. */
  readonly code?: EnteredCode | undefined;
}

/** What the panel sends to the extension. */
export type FromPanel =
  /** It has been loaded. */
  | { readonly type: 'ready' }
  | { readonly type: 'open'; readonly key: string }
  | ({ readonly type: 'changed' } & Entered)
  /** The form is to be as it was before the code was changed. */
  | ({ readonly type: 'restore' } & Entered)
  | ({ readonly type: 'kind'; readonly kind: string } & Entered)
  | ({ readonly type: 'act'; readonly action: PanelAction } & Entered)
  /** A button of something that a check has found, both by their places. */
  | { readonly type: 'mend'; readonly finding: number; readonly action: number }
  | ({ readonly type: 'code'; readonly action: 'copy' | 'insert'; readonly title: string } & Entered);

const values = z.record(z.string(), z.union([z.string(), z.array(z.tuple([z.string(), z.string()]))]));

const draft = z.object({
  saved: z.optional(z.string()),
  kind: z.string(),
  values,
  others: z.record(z.string(), values),
  leftOut: z.optional(z.array(z.string())),
});

const keptDraft = z.extend(draft, { base: z.optional(z.record(z.string(), z.unknown())) });

const code = z.object({ title: z.string(), text: z.string() });

const entered = { drawing: z.int(), draft, code: z.optional(code) };

const fromPanel = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('open'), key: z.string() }),
  z.object({ type: z.literal('changed'), ...entered }),
  z.object({ type: z.literal('restore'), ...entered }),
  z.object({ type: z.literal('kind'), kind: z.string(), ...entered }),
  z.object({
    type: z.literal('act'),
    action: z.enum(actions),
    ...entered,
  }),
  z.object({ type: z.literal('mend'), finding: z.int(), action: z.int() }),
  z.object({ type: z.literal('code'), action: z.enum(['copy', 'insert']), title: z.string(), ...entered }),
]);

/** A message of the panel; undefined where it is none. */
export function readFromPanel(message: unknown): FromPanel | undefined {
  const read = fromPanel.safeParse(message);
  return read.success ? read.data : undefined;
}

/** What a panel has kept; nothing where that is none. */
export function readPanelState(kept: unknown): PanelState {
  const read = z
    .object({ saved: z.optional(z.string()), tab: z.optional(z.string()), code: z.optional(code) })
    .safeParse(kept);
  return read.success ? read.data : {};
}

/** A draft that was kept; undefined where it is none, or one of an older version, which did not say what it was made from. */
export function readDraft(kept: unknown): Draft | undefined {
  const read = keptDraft.safeParse(kept);
  if (!read.success || (read.data.saved !== undefined && !read.data.base)) return undefined;
  return read.data;
}
