# pragma version ~=0.4.3
# pragma evm-version prague
# SPDX-License-Identifier: Apache-2.0
"""
@title 密封投标登记簿 / A register of sealed-bid tenders
@notice 采购部门发布项目，供应商在投标截止前提交承诺（摘要），截止后公开价格、文件摘要与盐值，链上核对；全部投标及其是否公开，任何人可查。
        A department opens a tender, suppliers commit to sealed bids before one deadline and open them before another.
        The contract holds every opened bid against its commitment, and everybody sees all of them.
        A starting point, not a procurement system: README.md says what it does not do.
@dev Times are block times in seconds. A deadline is the first second at which the thing is no longer possible.
     A commitment is SM3(abi.encode(chain id, this contract, tender id, supplier, price, document, salt)).
     Compute it on your own machine: whoever answers an eth_call for it would know the bid.
"""

from ..interfaces import ICrypto
from ..interfaces import IMembers
from ..interfaces import addresses

struct Tender:
    department: String[18]
    number: String[64]
    title: String[300]
    document: bytes32  # SM3 of the tender documents
    opened_at: uint64  # 0: there is no such tender
    commit_deadline: uint64
    reveal_deadline: uint64
    voided_at: uint64  # 0: in force
    reason: String[300]
    bidders: uint256

struct Bid:
    supplier: String[18]
    commitment: bytes32
    committed_at: uint64
    withdrawn_at: uint64  # 0: stands
    opened_at: uint64  # 0: sealed, or never opened; what follows is then zero
    price: uint128  # in the unit that the tender documents name
    document: bytes32  # SM3 of the bid documents

event TenderOpened:
    id: indexed(bytes32)
    department: String[18]
    number: String[64]
    commit_deadline: uint64
    reveal_deadline: uint64

event TenderVoided:
    id: indexed(bytes32)
    reason: String[300]

event BidCommitted:
    id: indexed(bytes32)
    supplier: String[18]
    commitment: bytes32

event BidWithdrawn:
    id: indexed(bytes32)
    supplier: String[18]

event BidOpened:
    id: indexed(bytes32)
    supplier: String[18]
    price: uint128
    document: bytes32

# Catches deadlines in milliseconds.
MAX_WINDOW_S: constant(uint64) = 2 * 366 * 86_400
MAX_PAGE: constant(uint256) = 50
MAX_REASON_BYTES: constant(uint256) = 256

# Vyper's literals are ASCII: each reason is the UTF-8 of the comment above it.
# OFFICER_ONLY: 只有具有规定角色的部门账户可以办理 / only an account of the department with the role that this register names may do this
OFFICER_ONLY: constant(Bytes[MAX_REASON_BYTES]) = x"4f4646494345525f4f4e4c593a20e58faae69c89e585b7e69c89e8a784e5ae9ae8a792e889b2e79a84e983a8e997a8e8b4a6e688b7e58fafe4bba5e58a9ee79086202f206f6e6c7920616e206163636f756e74206f6620746865206465706172746d656e7420776974682074686520726f6c6520746861742074686973207265676973746572206e616d6573206d617920646f2074686973"
# NOT_A_MEMBER: 投标人须为有效部门或企业的账户 / a bidder is an account of an active department or company
NOT_A_MEMBER: constant(Bytes[MAX_REASON_BYTES]) = x"4e4f545f415f4d454d4245523a20e68a95e6a087e4babae9a1bbe4b8bae69c89e69588e983a8e997a8e68896e4bc81e4b89ae79a84e8b4a6e688b7202f20612062696464657220697320616e206163636f756e74206f6620616e20616374697665206465706172746d656e74206f7220636f6d70616e79"
# TEXT_EMPTY: 项目编号、名称和理由不能为空 / number, title and reason must not be empty
TEXT_EMPTY: constant(Bytes[MAX_REASON_BYTES]) = x"544558545f454d5054593a20e9a1b9e79baee7bc96e58fb7e38081e5908de7a7b0e5928ce79086e794b1e4b88de883bde4b8bae7a9ba202f206e756d6265722c207469746c6520616e6420726561736f6e206d757374206e6f7420626520656d707479"
# DIGEST_ZERO: 摘要不能全为零 / a digest must not be all zeros
DIGEST_ZERO: constant(Bytes[MAX_REASON_BYTES]) = x"4449474553545f5a45524f3a20e69198e8a681e4b88de883bde585a8e4b8bae99bb6202f206120646967657374206d757374206e6f7420626520616c6c207a65726f73"
# TENDER_EXISTS: 本部门已有该编号的项目 / the department has a tender of this number already
TENDER_EXISTS: constant(Bytes[MAX_REASON_BYTES]) = x"54454e4445525f4558495354533a20e69cace983a8e997a8e5b7b2e69c89e8afa5e7bc96e58fb7e79a84e9a1b9e79bae202f20746865206465706172746d656e742068617320612074656e646572206f662074686973206e756d62657220616c7265616479"
# TENDER_UNKNOWN: 没有该项目 / there is no such tender
TENDER_UNKNOWN: constant(Bytes[MAX_REASON_BYTES]) = x"54454e4445525f554e4b4e4f574e3a20e6b2a1e69c89e8afa5e9a1b9e79bae202f207468657265206973206e6f20737563682074656e646572"
# TENDER_VOID: 项目已终止或废标 / the tender is void
TENDER_VOID: constant(Bytes[MAX_REASON_BYTES]) = x"54454e4445525f564f49443a20e9a1b9e79baee5b7b2e7bb88e6ada2e68896e5ba9fe6a087202f207468652074656e64657220697320766f6964"
# DEADLINE_TOO_SOON: 投标期或开标期短于本登记簿的规定（时间以秒计） / a deadline leaves less time than this register asks for (times are in seconds)
DEADLINE_TOO_SOON: constant(Bytes[MAX_REASON_BYTES]) = x"444541444c494e455f544f4f5f534f4f4e3a20e68a95e6a087e69c9fe68896e5bc80e6a087e69c9fe79fade4ba8ee69cace799bbe8aeb0e7b0bfe79a84e8a784e5ae9aefbc88e697b6e997b4e4bba5e7a792e8aea1efbc89202f206120646561646c696e65206c6561766573206c6573732074696d65207468616e20746869732072656769737465722061736b7320666f72202874696d65732061726520696e207365636f6e647329"
# DEADLINE_TOO_FAR: 截止时间超过两年（时间以秒计） / a deadline is more than two years ahead (times are in seconds)
DEADLINE_TOO_FAR: constant(Bytes[MAX_REASON_BYTES]) = x"444541444c494e455f544f4f5f4641523a20e688aae6ada2e697b6e997b4e8b685e8bf87e4b8a4e5b9b4efbc88e697b6e997b4e4bba5e7a792e8aea1efbc89202f206120646561646c696e65206973206d6f7265207468616e2074776f207965617273206168656164202874696d65732061726520696e207365636f6e647329"
# OWN_TENDER: 采购部门不得投标 / the department that buys must not bid
OWN_TENDER: constant(Bytes[MAX_REASON_BYTES]) = x"4f574e5f54454e4445523a20e98787e8b4ade983a8e997a8e4b88de5be97e68a95e6a087202f20746865206465706172746d656e7420746861742062757973206d757374206e6f7420626964"
# COMMIT_CLOSED: 投标已截止 / the time for bids has ended
COMMIT_CLOSED: constant(Bytes[MAX_REASON_BYTES]) = x"434f4d4d49545f434c4f5345443a20e68a95e6a087e5b7b2e688aae6ada2202f207468652074696d6520666f7220626964732068617320656e646564"
# BID_EXISTS: 该供应商已投标，须先撤回 / the supplier has bid already: withdraw that bid first
BID_EXISTS: constant(Bytes[MAX_REASON_BYTES]) = x"4249445f4558495354533a20e8afa5e4be9be5ba94e59586e5b7b2e68a95e6a087efbc8ce9a1bbe58588e692a4e59b9e202f2074686520737570706c696572206861732062696420616c72656164793a207769746864726177207468617420626964206669727374"
# NO_BID: 该供应商没有有效投标 / the supplier has no bid that stands
NO_BID: constant(Bytes[MAX_REASON_BYTES]) = x"4e4f5f4249443a20e8afa5e4be9be5ba94e59586e6b2a1e69c89e69c89e69588e68a95e6a087202f2074686520737570706c69657220686173206e6f206269642074686174207374616e6473"
# TOO_EARLY: 尚未到开标时间 / bids cannot be opened yet
TOO_EARLY: constant(Bytes[MAX_REASON_BYTES]) = x"544f4f5f4541524c593a20e5b09ae69caae588b0e5bc80e6a087e697b6e997b4202f20626964732063616e6e6f74206265206f70656e656420796574"
# TOO_LATE: 开标时间已过 / the time to open bids has ended
TOO_LATE: constant(Bytes[MAX_REASON_BYTES]) = x"544f4f5f4c4154453a20e5bc80e6a087e697b6e997b4e5b7b2e8bf87202f207468652074696d6520746f206f70656e20626964732068617320656e646564"
# OPENED_ALREADY: 该投标已公开 / the bid is opened already
OPENED_ALREADY: constant(Bytes[MAX_REASON_BYTES]) = x"4f50454e45445f414c52454144593a20e8afa5e68a95e6a087e5b7b2e585ace5bc80202f2074686520626964206973206f70656e656420616c7265616479"
# SALT_EMPTY: 盐值为零，投标不曾真正密封 / the salt is zero: the bid was never sealed
SALT_EMPTY: constant(Bytes[MAX_REASON_BYTES]) = x"53414c545f454d5054593a20e79b90e580bce4b8bae99bb6efbc8ce68a95e6a087e4b88de69bbee79c9fe6ada3e5af86e5b081202f207468652073616c74206973207a65726f3a207468652062696420776173206e65766572207365616c6564"
# COMMITMENT_DIFFERS: 价格、文件摘要或盐值与承诺不符 / price, document and salt are not what the supplier committed to
COMMITMENT_DIFFERS: constant(Bytes[MAX_REASON_BYTES]) = x"434f4d4d49544d454e545f444946464552533a20e4bbb7e6a0bce38081e69687e4bbb6e69198e8a681e68896e79b90e580bce4b88ee689bfe8afbae4b88de7aca6202f2070726963652c20646f63756d656e7420616e642073616c7420617265206e6f7420776861742074686520737570706c69657220636f6d6d697474656420746f"

OFFICER_ROLE: public(immutable(String[13]))
LEAST_WINDOW_S: public(immutable(uint64))

_tenders: HashMap[bytes32, Tender]
_bids: HashMap[bytes32, HashMap[String[18], Bid]]
_suppliers: HashMap[bytes32, HashMap[uint256, String[18]]]


@deploy
def __init__(officer_role: String[13], least_window_s: uint64):
    """
    @param officer_role role of a department's accounts that open and void its tenders, such as "approver"
    @param least_window_s least time for bids, and for opening them, in seconds
    """
    # Refuses a name that is no role: with a mistyped one nobody could ever open a tender.
    is_officer: bool = staticcall IMembers(addresses.MEMBERS).has_role(msg.sender, "", officer_role)
    OFFICER_ROLE = officer_role
    LEAST_WINDOW_S = least_window_s


@external
def open_tender(number: String[64], title: String[300], document: bytes32, commit_deadline: uint64, reveal_deadline: uint64) -> bytes32:
    """
    @notice 发布项目。Open a tender of the caller's department; its terms do not change afterwards.
    @return the tender's id
    """
    department: String[18] = self._officer_department()
    self._check(number != "" and title != "", TEXT_EMPTY)
    self._check(document != empty(bytes32), DIGEST_ZERO)
    id: bytes32 = self._id(department, number)
    self._check(self._tenders[id].opened_at == 0, TENDER_EXISTS)
    now: uint64 = convert(block.timestamp, uint64)
    # Before the sums below, which could overflow: a bare revert would tell nobody why.
    self._check(commit_deadline <= now + MAX_WINDOW_S and reveal_deadline <= now + MAX_WINDOW_S, DEADLINE_TOO_FAR)
    self._check(commit_deadline >= now + LEAST_WINDOW_S and commit_deadline > now, DEADLINE_TOO_SOON)
    self._check(reveal_deadline >= commit_deadline + LEAST_WINDOW_S and reveal_deadline > commit_deadline, DEADLINE_TOO_SOON)
    self._tenders[id] = Tender(
        department=department,
        number=number,
        title=title,
        document=document,
        opened_at=now,
        commit_deadline=commit_deadline,
        reveal_deadline=reveal_deadline,
        voided_at=0,
        reason="",
        bidders=0,
    )
    log TenderOpened(id=id, department=department, number=number, commit_deadline=commit_deadline, reveal_deadline=reveal_deadline)
    return id


@external
def void_tender(id: bytes32, reason: String[300]):
    """
    @notice 终止或废标：何时、何故，均留存可查；已公开的投标仍可见。End a tender for a stated reason, for ever; what was opened stays visible.
    """
    self._running(id)
    self._check(self._officer_department() == self._tenders[id].department, OFFICER_ONLY)
    self._check(reason != "", TEXT_EMPTY)
    self._tenders[id].voided_at = convert(block.timestamp, uint64)
    self._tenders[id].reason = reason
    log TenderVoided(id=id, reason=reason)


@external
def commit_bid(id: bytes32, commitment: bytes32):
    """
    @notice 提交投标承诺。Commit the caller's company to a sealed bid: one that stands for each company, whatever account sends it.
    """
    self._running(id)
    supplier: String[18] = self._department()
    self._check(supplier != self._tenders[id].department, OWN_TENDER)
    now: uint64 = convert(block.timestamp, uint64)
    self._check(now < self._tenders[id].commit_deadline, COMMIT_CLOSED)
    self._check(commitment != empty(bytes32), DIGEST_ZERO)
    # A copy of another's commitment is taken: it can never be opened, since it names the other. To refuse it would let
    # whoever sees a bid on its way send the copy first and shut the bidder out.
    bid: Bid = self._bids[id][supplier]
    self._check(bid.committed_at == 0 or bid.withdrawn_at != 0, BID_EXISTS)
    if bid.committed_at == 0:
        self._suppliers[id][self._tenders[id].bidders] = supplier
        self._tenders[id].bidders += 1
    self._bids[id][supplier] = Bid(
        supplier=supplier, commitment=commitment, committed_at=now, withdrawn_at=0, opened_at=0, price=0, document=empty(bytes32)
    )
    log BidCommitted(id=id, supplier=supplier, commitment=commitment)


@external
def withdraw_bid(id: bytes32):
    """
    @notice 撤回投标；截止前可再次投标。Withdraw the caller's bid before the deadline; until then another may be committed.
    """
    self._running(id)
    supplier: String[18] = self._standing_bid(id)
    self._check(convert(block.timestamp, uint64) < self._tenders[id].commit_deadline, COMMIT_CLOSED)
    self._bids[id][supplier].withdrawn_at = convert(block.timestamp, uint64)
    log BidWithdrawn(id=id, supplier=supplier)


@external
def open_bid(id: bytes32, price: uint128, document: bytes32, salt: bytes32):
    """
    @notice 开标：公开本企业的价格、文件摘要与盐值。Open the caller's bid. Not to be sent early: a refused transaction is public too.
    """
    self._running(id)
    now: uint64 = convert(block.timestamp, uint64)
    self._check(now >= self._tenders[id].commit_deadline, TOO_EARLY)
    self._check(now < self._tenders[id].reveal_deadline, TOO_LATE)
    supplier: String[18] = self._standing_bid(id)
    self._check(self._bids[id][supplier].opened_at == 0, OPENED_ALREADY)
    self._check(salt != empty(bytes32), SALT_EMPTY)
    committed: Bytes[512] = abi_encode(chain.id, self, id, supplier, price, document, salt)
    self._check(staticcall ICrypto(addresses.CRYPTO).sm3(committed) == self._bids[id][supplier].commitment, COMMITMENT_DIFFERS)
    self._bids[id][supplier].opened_at = now
    self._bids[id][supplier].price = price
    self._bids[id][supplier].document = document
    log BidOpened(id=id, supplier=supplier, price=price, document=document)


@external
@view
def tender_id(department: String[18], number: String[64]) -> bytes32:
    """
    @notice 部门与项目编号对应的标识。The id of a department's tender by its number, whether or not it exists.
    """
    return self._id(department, number)


@external
@view
def tender(id: bytes32) -> Tender:
    """
    @notice 项目。A tender; opened_at is zero when there is none.
    """
    return self._tenders[id]


@external
@view
def phase(id: bytes32) -> String[10]:
    """
    @notice 阶段。UNKNOWN, COMMITTING, OPENING, CLOSED or VOID, as of the block's time.
    """
    tender: Tender = self._tenders[id]
    if tender.opened_at == 0:
        return "UNKNOWN"
    if tender.voided_at != 0:
        return "VOID"
    if block.timestamp < convert(tender.commit_deadline, uint256):
        return "COMMITTING"
    return "OPENING" if block.timestamp < convert(tender.reveal_deadline, uint256) else "CLOSED"


@external
@view
def bid(id: bytes32, supplier: String[18]) -> Bid:
    """
    @notice 一家供应商的投标。A supplier's bid; committed_at is zero when there is none.
    """
    return self._bids[id][supplier]


@external
@view
def bids(id: bytes32, start: uint256) -> DynArray[Bid, MAX_PAGE]:
    """
    @notice 自第 start 家起的投标，按首次投标先后。Up to 50 bids from number `start` on, in the order of first commitments; withdrawn and unopened ones too.
    """
    found: DynArray[Bid, MAX_PAGE] = []
    total: uint256 = self._tenders[id].bidders
    for offset: uint256 in range(MAX_PAGE):
        if start >= total or offset >= total - start:
            break
        found.append(self._bids[id][self._suppliers[id][start + offset]])
    return found


@internal
@view
def _officer_department() -> String[18]:
    department: String[18] = staticcall IMembers(addresses.MEMBERS).department_of(msg.sender)
    self._check(department != "" and staticcall IMembers(addresses.MEMBERS).has_role(msg.sender, department, OFFICER_ROLE), OFFICER_ONLY)
    return department


@internal
@view
def _department() -> String[18]:
    department: String[18] = staticcall IMembers(addresses.MEMBERS).department_of(msg.sender)
    self._check(department != "", NOT_A_MEMBER)
    return department


@internal
@view
def _running(id: bytes32):
    self._check(self._tenders[id].opened_at != 0, TENDER_UNKNOWN)
    self._check(self._tenders[id].voided_at == 0, TENDER_VOID)


@internal
@view
def _standing_bid(id: bytes32) -> String[18]:
    supplier: String[18] = self._department()
    self._check(self._bids[id][supplier].committed_at != 0 and self._bids[id][supplier].withdrawn_at == 0, NO_BID)
    return supplier


@internal
@view
def _id(department: String[18], number: String[64]) -> bytes32:
    return keccak256(abi_encode(department, number))


@internal
@pure
def _check(holds: bool, reason: Bytes[MAX_REASON_BYTES]):
    if not holds:
        raw_revert(abi_encode(reason, method_id=method_id("Error(string)")))
