/// What a loop keeps in a ``Roster``.
protocol RosterMember: AnyObject {
    /// Its place there, which the roster sets.
    var index: Int { get set }
}

/// Members in no order, added and removed in constant time.
struct Roster<Member: RosterMember> {
    private(set) var members: [Member] = []

    var count: Int { members.count }
    var isEmpty: Bool { members.isEmpty }

    mutating func add(_ member: Member) {
        member.index = members.count
        members.append(member)
    }

    mutating func remove(_ member: Member) {
        let last = members.removeLast()
        if last !== member {
            last.index = member.index
            members[member.index] = last
        }
    }
}
