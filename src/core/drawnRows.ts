import type { TreeNode } from './tree.ts';

/** All of a row that a view shows or goes by, but for the rows under it. */
const shown = [
  'id',
  'key',
  'label',
  'description',
  'tooltip',
  'icon',
  'color',
  'context',
  'opens',
  'expanded',
] satisfies (keyof TreeNode)[];

interface Level {
  /** The objects that the view knows these rows by. */
  readonly given: readonly TreeNode[];
  /** The rows as they are now. */
  readonly rows: readonly TreeNode[];
  readonly texts: readonly string[];
}

/**
 * What a view has been given of a tree of rows. A view asks for the rows under those that are open; only these are
 * made and compared, so that what is closed costs nothing, however much it holds.
 */
export class DrawnRows {
  readonly #roots: () => readonly TreeNode[];
  /** By the id of the row above; the first level by the empty text. */
  readonly #levels = new Map<string, Level>();

  constructor(roots: () => readonly TreeNode[]) {
    this.#roots = roots;
  }

  /** The rows under `node`, for the view. Asking for the first level begins a new drawing. */
  children(node?: TreeNode): readonly TreeNode[] {
    if (!node) this.#levels.clear();
    const rows = node ? (this.latest(node).children ?? []) : this.#roots();
    this.#levels.set(node?.id ?? '', { given: rows, rows, texts: rows.map(textOf) });
    return rows;
  }

  /** Whether the rows under `node` are compared. */
  isOpen(node: TreeNode): boolean {
    return this.#levels.has(node.id);
  }

  /** The view shows the rows under `node` no more. */
  close(node: TreeNode): void {
    for (const row of this.#levels.get(node.id)?.given ?? []) this.close(row);
    this.#levels.delete(node.id);
  }

  /**
   * The rows to draw anew, each with what is open under it, by the objects that the view knows; undefined among them
   * stands for all. Others are left alone: while a row is drawn anew, the view does not know those under it, and what
   * the user does to one of them would be lost.
   */
  changed(): readonly (TreeNode | undefined)[] {
    if (!this.#levels.has('')) return [undefined];
    return this.#changed(undefined, this.#roots());
  }

  #changed(above: TreeNode | undefined, rows: readonly TreeNode[]): (TreeNode | undefined)[] {
    const level = this.#levels.get(above?.id ?? '');
    if (level === undefined) return [];
    const { given } = level;
    if (rows.length !== given.length || rows.some(({ id }, i) => id !== given[i]?.id)) {
      if (above) this.close(above);
      return [above];
    }
    const texts = rows.map(textOf);
    this.#levels.set(above?.id ?? '', { given, rows, texts });
    return rows.flatMap((row, i) => {
      const known = given[i];
      if (texts[i] === level.texts[i])
        return known && this.isOpen(row) ? this.#changed(known, row.children ?? []) : [];
      if (known) this.close(known);
      return [known];
    });
  }

  /** A row may be drawn or opened long after it was given, when it looks the same but more is under it. */
  latest(node: TreeNode): TreeNode {
    for (const { rows } of this.#levels.values()) {
      const same = rows.find(({ id }) => id === node.id);
      if (same) return same;
    }
    return node;
  }
}

const textOf = (row: TreeNode): string =>
  JSON.stringify(['children' in row, ...shown.map((field) => row[field])]);
