// Who learned from whom, according to the status. What a peer says about itself is marked as a claim.

/** Learner -> teacher -> groups: this peer's own row is counted here, the others' rows are their claims. */
export function lessons(status) {
  const own = new Map((status.hearing?.peers ?? []).map((peer) => [peer.peer_id, peer.groups_used]));
  const found = new Map([[status.peer_id, own]]);
  for (const peer of status.peers ?? []) {
    const claims = new Map(Object.entries(peer.used_claimed ?? {}));
    if (peer.groups_trained_on_claimed > 0) claims.set(status.peer_id, peer.groups_trained_on_claimed);
    if (claims.size) found.set(peer.peer_id, claims);
  }
  return found;
}
