import assert from 'node:assert/strict';
import { DrawnRows } from '../../../src/core/drawnRows.ts';
import type { TreeNode } from '../../../src/core/tree.ts';

const plain = (id: string, description = ''): TreeNode => ({
  id,
  key: id,
  label: id,
  description,
  icon: 'x',
  context: 'x',
});

/** Two rows; under the first there are more, which are counted when they are made. */
class Rows {
  first = 'one';
  under = 'two';
  made = 0;
  readonly drawn = new DrawnRows(() => {
    const rows = this;
    const parent: TreeNode = {
      ...plain('parent', this.first),
      get children() {
        rows.made += 1;
        return [plain('child', rows.under)];
      },
    };
    return [parent, plain('other')];
  });
}

const onlyChild = (rows: readonly TreeNode[]) => rows.map(({ description }) => description);
/** What is to be drawn anew, by id; `all` is the first level. */
const changes = (drawn: DrawnRows) => drawn.changed().map((row) => row?.id ?? 'all');

describe('rows that a view has been given', () => {
  it('have changed before there are any, and when one of them reads differently', () => {
    const rows = new Rows();
    assert.deepEqual(changes(rows.drawn), ['all']);
    const [parent] = rows.drawn.children();
    assert.deepEqual(changes(rows.drawn), []);
    rows.first = 'another';
    const [changed] = rows.drawn.changed();
    assert.equal(changed, parent, 'it is named by the object that the view has');
    assert.equal(rows.drawn.latest(parent as TreeNode).description, 'another');
    assert.deepEqual(changes(rows.drawn), [], 'and once');
  });

  it('are compared where the view is open, and not even made where it is closed', () => {
    const rows = new Rows();
    const [parent] = rows.drawn.children();
    rows.under = 'three';
    assert.deepEqual(changes(rows.drawn), []);
    assert.equal(rows.made, 0);
    rows.drawn.children(parent);
    assert.deepEqual(changes(rows.drawn), []);
    rows.under = 'four';
    assert.deepEqual(changes(rows.drawn), ['child'], 'the row above it is left alone');
    rows.drawn.close(parent as TreeNode);
    rows.under = 'five';
    rows.made = 0;
    assert.deepEqual(changes(rows.drawn), []);
    assert.equal(rows.made, 0);
  });

  it('are drawn with what is above them when they come or go', () => {
    let ids = ['a', 'b'];
    let roots = ['top', 'other'];
    const drawn = new DrawnRows(() =>
      roots.map((root) => ({ ...plain(root), children: root === 'top' ? ids.map((id) => plain(id)) : [] })),
    );
    const [top] = drawn.children();
    drawn.children(top);
    for (const next of [['a'], ['a', 'c'], ['c', 'a'], []]) {
      ids = next;
      assert.deepEqual(changes(drawn), ['top'], next.join());
      assert.deepEqual(changes(drawn), [], 'until the view asks for them');
      assert.deepEqual(
        drawn.children(top).map(({ id }) => id),
        next,
      );
    }
    roots = ['other', 'top'];
    assert.deepEqual(changes(drawn), ['all']);
  });

  it('are as they are now when a row is opened, however long ago that was drawn', () => {
    let under = 'then';
    const drawn = new DrawnRows(() => {
      const now = under;
      return [{ ...plain('parent'), children: [plain('child', now)] }];
    });
    const [parent] = drawn.children();
    under = 'now';
    assert.deepEqual(changes(drawn), []);
    assert.deepEqual(onlyChild(drawn.children(parent)), ['now']);
  });

  it('are forgotten with a new drawing: what is closed by then is not compared any more', () => {
    const rows = new Rows();
    rows.drawn.children(rows.drawn.children()[0]);
    rows.drawn.children();
    rows.under = 'changed';
    rows.made = 0;
    assert.deepEqual(changes(rows.drawn), []);
    assert.equal(rows.made, 0);
  });

  it('have changed when one gets rows under it, or comes to be open or closed at first', () => {
    for (const change of [
      { children: [] },
      { expanded: true },
      { tooltip: 'x' },
    ] satisfies Partial<TreeNode>[]) {
      let other: Partial<TreeNode> = {};
      const drawn = new DrawnRows(() => [{ ...plain('a'), ...other }]);
      drawn.children();
      other = change;
      assert.deepEqual(changes(drawn), ['a'], JSON.stringify(change));
    }
  });
});
