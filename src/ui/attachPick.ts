import * as vscode from 'vscode';
import { parseAddress } from '../core/address.ts';
import type { Offer } from '../core/attached.ts';
import { toFailure } from '../core/failure.ts';
import { readPage } from '../dask/dashboard.ts';

/** What the user wants to attach to. */
export interface Wanted {
  /** As typed, or as offered. */
  readonly address: string;
  /** Name of the executor that means it. */
  readonly executor?: string | undefined;
}

export interface AddressQuestion {
  /** What stands in the box at first. */
  readonly value: string;
  /** Known at once, and again as more becomes known. */
  offers(): readonly Offer[];
  /** Resolves when there are more offers. */
  readonly more: Promise<void>;
  /** The user wants an address of before to be forgotten. */
  forget(address: string): void;
}

interface AddressItem extends vscode.QuickPickItem {
  readonly wanted: Wanted;
}

const forgetButton: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon('close'),
  tooltip: 'Forget this address',
};

/** Asks for an address: the first row is what is typed, and says whether it can be one; under it is what is known. */
export async function askAddress(question: AddressQuestion): Promise<Wanted | undefined> {
  const pick = vscode.window.createQuickPick<AddressItem>();
  pick.title = 'Attach to Scheduler';
  pick.placeholder = 'Address, such as tcp://host:8786, tls://host:8786, or the URL of its dashboard';
  pick.ignoreFocusOut = true;
  pick.matchOnDescription = true;
  pick.value = question.value;
  const draw = () => {
    const offers = question.offers();
    const typed = pick.value.trim();
    const isOffered = offers.some(({ address }) => address === typed);
    pick.items = [...(typed === '' || isOffered ? [] : [typedItem(typed)]), ...offers.map(offerItem)];
  };
  pick.busy = true;
  void question.more.then(() => {
    pick.busy = false;
    draw();
  });
  draw();
  let drawn = true;
  try {
    return await new Promise((resolve) => {
      pick.onDidChangeValue(() => {
        drawn = pick.value.trim() === '';
        draw();
      });
      pick.onDidChangeActive(([item]) => {
        drawn ||= item?.label === pick.value.trim();
      });
      // Quick fingers press Enter before the row of what they typed is drawn: they mean no other.
      pick.onDidAccept(() => resolve((drawn && pick.selectedItems[0]?.wanted) || typedWanted(pick.value)));
      pick.onDidTriggerItemButton(({ item }) => {
        question.forget(item.wanted.address);
        draw();
      });
      pick.onDidHide(() => resolve(undefined));
      pick.show();
    });
  } finally {
    pick.dispose();
  }
}

function typedWanted(value: string): Wanted | undefined {
  return value.trim() === '' ? undefined : { address: value.trim() };
}

function typedItem(address: string): AddressItem {
  return { label: address, description: describeTyped(address), alwaysShow: true, wanted: { address } };
}

function describeTyped(address: string): string {
  if (readPage(address)) return 'ask this dashboard for its scheduler';
  try {
    return `attach to ${parseAddress(address).text}`;
  } catch (error) {
    return toFailure(error).message;
  }
}

function offerItem({ address, from, executor, before }: Offer): AddressItem {
  return {
    label: address,
    description: from,
    wanted: { address, executor },
    ...(before && { buttons: [forgetButton] }),
  };
}
