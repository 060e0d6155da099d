import type { Deployments } from '../backends/kubernetes/deployment/deployments.ts';
import { nameFrom } from '../backends/kubernetes/deployment/shape.ts';
import {
  type CodeTab,
  codeTabs,
  type DraftCheck,
  type LateTexts,
  lateTitles,
} from '../core/executorDraft.ts';
import { toFailure } from '../core/failure.ts';
import type { KubernetesExecutor } from '../core/kubernetesExecutor.ts';
import { within } from '../core/limit.ts';
import { profileOf } from '../core/profileText.ts';
import { type SavedExecutor, savedExecutor } from '../core/savedExecutor.ts';
import type { ReadLines } from '../core/written.ts';
import type { EnteredCode } from '../protocol/executorPanel.ts';

export interface CodeSideOptions {
  readonly deployments: Deployments;
  /** Reads lines of Python. */
  pasted(code: string): Promise<ReadLines>;
  /** An executor as code can name it. */
  forCode(executor: NonNullable<DraftCheck['sayable']>): NonNullable<DraftCheck['sayable']>;
  /** What takes a moment to be written is there. */
  written(): void;
}

/** Texts that were written last, and of what; those that were written before stay until these are. */
interface Late {
  readonly profile: string;
  readonly kind: unknown;
  readonly texts: LateTexts;
}

const readLimitMs = 10_000;

/** The executor of the panel as code: written from the form, and read into it. */
export class CodeSide {
  readonly #options: CodeSideOptions;
  #late: Late | undefined;

  constructor(options: CodeSideOptions) {
    this.#options = options;
  }

  /** What the form says, as code can name it; the settings as they are. */
  tabs({ sayable, profile }: DraftCheck): CodeTab[] {
    const key = JSON.stringify(profile);
    const ready = sayable && this.#options.forCode(sayable);
    if (this.#late?.profile !== key) void this.#write(key, profile, ready);
    return codeTabs({ profile, ...(ready && { sayable: ready }) }, this.#late?.texts ?? {});
  }

  /**
   * The executor that the text of a tab is; why it is none, with the line, in a sentence.
   * @param name its name where the text says none
   */
  async read(
    { title, text }: EnteredCode,
    name: string,
  ): Promise<SavedExecutor | { readonly problem: string }> {
    const at = (problem: string, line?: number) => {
      const sentence = problem.replace(/[^.?!…]$/, '$&.');
      return { problem: line === undefined ? sentence : `Line ${line + 1}: ${sentence}` };
    };
    if (title === 'JSON' || title === 'YAML') {
      const found = profileOf(text, name, await import('../core/yaml.ts'));
      return 'problem' in found ? at(found.problem, found.line) : found;
    }
    const late = () => new Error('It could not be read in time. It is tried again when it changes');
    const lines = await within(this.#options.pasted(text), readLimitMs, late).catch(
      (error: unknown): ReadLines => ({ problem: toFailure(error).message }),
    );
    if ('problem' in lines) return at(lines.problem, lines.line);
    const { written } = lines;
    const saved = savedExecutor(written, name);
    return 'problem' in saved
      ? at(`this ${written.type} can’t be an executor: ${saved.problem}`, written.line)
      : saved;
  }

  /** Written when it is first looked at: what writes it takes a moment to load. */
  async #write(key: string, profile: DraftCheck['profile'], sayable: DraftCheck['sayable']): Promise<void> {
    const { kind } = profile;
    const before = this.#late?.kind === kind ? this.#late?.texts : undefined;
    const late: Late = { profile: key, kind, texts: before ?? {} };
    this.#late = late;
    const texts = await this.#texts(profile, sayable);
    // Typed on meanwhile.
    if (this.#late !== late) return;
    this.#late = { ...late, texts };
    this.#options.written();
  }

  /** Of pods their code and manifests, of all else the lines of the setting. */
  async #texts(profile: DraftCheck['profile'], sayable: DraftCheck['sayable']): Promise<LateTexts> {
    if (profile.kind !== 'kubernetes') {
      const { stringify } = await import('../core/yaml.ts');
      return { YAML: { text: stringify(profile).trimEnd() } };
    }
    if (sayable?.kind !== 'kubernetes') return {};
    const texts = lateTitles.map(
      async ([api, title]) =>
        [
          title,
          await this.#ofPods(sayable, api).then(
            (text) => ({ text: text.trimEnd() }),
            (error: unknown) => {
              const { message, hint } = toFailure(error);
              return { why: [message, hint].filter(Boolean).join('. ') };
            },
          ),
        ] as const,
    );
    return Object.fromEntries(await Promise.all(texts));
  }

  #ofPods(executor: KubernetesExecutor, api: (typeof lateTitles)[number][0]): Promise<string> {
    const { deployments } = this.#options;
    const name = nameFrom(executor.name);
    return api === 'manifests'
      ? deployments.manifests(executor, name)
      : deployments.code(executor, name, api);
  }
}
