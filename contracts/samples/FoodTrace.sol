// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {CERTIFICATES} from "../interfaces/ICertificates.sol";
import {MEMBERS} from "../interfaces/IMembers.sol";

/// @title 食品追溯登记簿 / A food-traceability register
/// @notice 批次由生产企业登记，凭有效许可证照；交接须双方确认；拆分、合并留下来源；检验不合格即不得流转；召回即时及于全部衍生批次。
///         A batch is made under a certificate in force, changes hands when both sides say so, is split and merged without losing
///         where it came from, stops when it fails an inspection, and a recall reaches at once all that derives from it.
///         A starting point, not a supervision system: README.md says what it does not do.
/// @dev Whoever sends acts for its department or company (members.department_of). Times are block times in seconds. Digests are SM3.
contract FoodTrace {
    /// What the register does with a batch: in somebody's hands, used up by a split or merge, or destroyed.
    enum Status { None, Held, Used, Destroyed }

    enum Action {
        Created, Split, Merged, Used, Offered, OfferWithdrawn, Declined, Accepted, Passed, Failed, Recalled, RecallLifted, Destroyed
    }

    struct Batch {
        Status status;
        bool failed; // the last inspection was not passed
        uint64 made;
        uint128 quantity;
        string maker;
        string holder;
        string offeredTo; // empty: not on offer
        string code; // the maker's own number for the batch
        string product;
        string unit;
        string certificate; // identifier of the licence it was made under
    }

    struct Recall {
        string by;
        bool bySupervisor;
        uint64 time; // 0: none in force
        string reason;
    }

    struct Step {
        Action action;
        uint64 time;
        string by;
        string to; // receiver of an offer
        uint256 other; // the batch that this one went into or, for a split, came from
        bytes32 document; // SM3 of a paper that belongs to the step, or zero
        string note;
    }

    uint256 public constant MAX_PARTS = 16;
    uint256 public constant MAX_ANCESTORS = 256;
    uint256 public constant MAX_TEXT_BYTES = 600;
    uint256 public constant PAGE = 50;
    string public constant SUPERVISOR_ROLE = "approver";

    string[] private supervisors;
    uint256 public batchCount;
    mapping(uint256 batch => Batch) private batches;
    mapping(bytes32 makerAndCode => uint256 batch) private byCode;
    mapping(uint256 batch => uint32[]) private parentsOf;
    mapping(uint256 batch => uint32[]) private childrenOf;
    /// All that a batch derives from, without repeats: a check for recalls then needs no walk. The parts of a split share one list.
    mapping(uint256 firstBatch => uint32[]) private lines;
    mapping(uint256 batch => uint256 firstBatch) private lineOf;
    mapping(uint256 batch => Recall) private recalls;
    /// One bit a batch, so that 256 ancestors cost a few reads.
    mapping(uint256 word => uint256 bits) private recalledBits;
    mapping(uint256 batch => Step[]) private steps;

    event BatchCreated(uint256 indexed batch, string maker, string code, string product, uint128 quantity, string unit);
    event BatchDerived(uint256 indexed batch, uint256 indexed parent);
    event BatchOffered(uint256 indexed batch, string from, string to);
    event OfferEnded(uint256 indexed batch, string by, string note);
    event BatchAccepted(uint256 indexed batch, string from, string to);
    event BatchInspected(uint256 indexed batch, string by, bool passed, bytes32 document);
    event BatchRecalled(uint256 indexed batch, string by, string reason);
    event RecallLifted(uint256 indexed batch, string by, string reason);
    event BatchDestroyed(uint256 indexed batch, string by, bytes32 document);

    /// @param supervisors_ codes of the departments that inspect and may recall any batch
    constructor(string[] memory supervisors_) {
        for (uint256 i; i < supervisors_.length; i++) {
            MEMBERS.department(supervisors_[i]); // refuses a code that is not registered
            supervisors.push(supervisors_[i]);
        }
    }

    // ---- 生产 making

    /// @notice 登记新批次。Register a batch that the caller's company made under a certificate in force.
    function create(
        string calldata code, string calldata product, uint128 quantity, string calldata unit, string calldata certificate, bytes32 document
    ) external returns (uint256 id) {
        id = _make(code, product, quantity, unit, certificate);
        _step(id, Action.Created, batches[id].maker, "", 0, document, "");
    }

    /// @notice 拆分：各部分数量之和须等于原批次。Split a batch into parts that make up all of it; the batch itself is used up.
    function split(uint256 id, string[] calldata codes, uint128[] calldata quantities) external returns (uint256 first) {
        string memory holder = _usable(id);
        require(codes.length > 1 && codes.length <= MAX_PARTS && codes.length == quantities.length,
            unicode"PARTS: 拆分须有 2 至 16 份，编号与数量一一对应 / a split has 2 to 16 parts, each with a code and a quantity");
        first = batchCount + 1;
        uint256 total;
        lines[first] = _oneMore(lines[lineOf[id]], uint32(id));
        for (uint256 i; i < codes.length; i++) {
            total += quantities[i];
            lineOf[_part(id, holder, codes[i], quantities[i])] = first;
        }
        require(total == batches[id].quantity, unicode"QUANTITY: 各部分数量之和与原批次不符 / the parts do not add up to the batch");
        batches[id].status = Status.Used;
        _step(id, Action.Used, holder, "", first, 0, "");
    }

    /// @notice 合并或加工：由所持若干批次制成新批次。Make one batch out of several that the caller's company holds, mixed or processed.
    function merge(
        uint256[] calldata ids, string calldata code, string calldata product, uint128 quantity, string calldata unit,
        string calldata certificate, bytes32 document
    ) external returns (uint256 made) {
        require(ids.length > 0 && ids.length <= MAX_PARTS, unicode"PARTS: 合并须有 1 至 16 个批次 / 1 to 16 batches go into another");
        made = _make(code, product, quantity, unit, certificate);
        _combine(ids, made);
        _step(made, Action.Merged, batches[made].maker, "", 0, document, "");
    }

    // ---- 交接 handing over

    /// @notice 发起交接。Offer a batch to a department or company; it changes hands when they accept.
    function offer(uint256 id, string calldata to, bytes32 document) external {
        string memory from = _held(id);
        _movable(id, to);
        require(!_same(from, to), unicode"SAME_DEPARTMENT: 不能交接给自己 / a batch is not handed over to its holder");
        MEMBERS.department(to); // refuses a code that is not registered: nobody could ever accept
        batches[id].offeredTo = to;
        _step(id, Action.Offered, from, to, 0, document, "");
        emit BatchOffered(id, from, to);
    }

    /// @notice 撤回交接。Take an offer back.
    function withdrawOffer(uint256 id) external {
        string memory by = _sender();
        require(_known(id).status == Status.Held && _same(by, batches[id].holder),
            unicode"NOT_HOLDER: 只有批次的持有者可以办理 / only the holder of the batch may do this");
        require(bytes(batches[id].offeredTo).length > 0, unicode"NO_OFFER: 该批次没有待确认的交接 / the batch is not on offer");
        batches[id].offeredTo = "";
        _step(id, Action.OfferWithdrawn, by, "", 0, 0, "");
        emit OfferEnded(id, by, "");
    }

    /// @notice 确认接收。Accept a batch that is on offer to the caller's company.
    function accept(uint256 id, bytes32 document) external {
        string memory to = _offered(id);
        _movable(id, to); // it may have been recalled, or have failed an inspection, since it was offered
        string memory from = batches[id].holder;
        batches[id].holder = to;
        batches[id].offeredTo = "";
        _step(id, Action.Accepted, to, "", 0, document, "");
        emit BatchAccepted(id, from, to);
    }

    /// @notice 拒收。Decline a batch that is on offer to the caller's company.
    function decline(uint256 id, string calldata reason) external {
        string memory by = _offered(id);
        _text(reason);
        batches[id].offeredTo = "";
        _step(id, Action.Declined, by, "", 0, 0, reason);
        emit OfferEnded(id, by, reason);
    }

    // ---- 监管 supervision

    /// @notice 登记检验结果；不合格的批次在检验合格前不得流转。Record an inspection; a batch that failed stays where it is until it passes.
    function inspect(uint256 id, bool passed, bytes32 document, string calldata note) external {
        string memory by = _sender();
        require(_supervises(by), unicode"SUPERVISOR_ONLY: 只有监管部门有审批角色的账户可以办理 / only a supervising department's account with the role approver may do this");
        require(_known(id).status == Status.Held, unicode"NOT_HELD: 该批次已用尽或销毁 / the batch is used up or destroyed");
        require(document != 0, unicode"DIGEST_ZERO: 须有检验报告的摘要 / the digest of a report is needed");
        require(bytes(note).length <= MAX_TEXT_BYTES, unicode"TEXT_LENGTH: 文字不能为空，最多 600 字节 / a text is not empty and has at most 600 bytes");
        batches[id].failed = !passed;
        _step(id, passed ? Action.Passed : Action.Failed, by, "", 0, document, note);
        emit BatchInspected(id, by, passed, document);
    }

    /// @notice 召回：由生产者、持有者或监管部门发起，即时及于全部衍生批次。Recall a batch, and with it all that derives from it.
    function recall(uint256 id, string calldata reason) external {
        string memory by = _sender();
        bool bySupervisor = _supervises(by);
        Batch storage found = _known(id);
        require(bySupervisor || _same(by, found.maker) || _same(by, found.holder),
            unicode"RECALL_FORBIDDEN: 只有生产者、持有者或监管部门可以召回 / maker, holder or a supervising department recalls a batch");
        _text(reason);
        // A supervisor's recall takes the place of a company's: else a company could recall first and lift it when it likes.
        Recall storage current = recalls[id];
        require(current.time == 0 || (bySupervisor && !current.bySupervisor), unicode"RECALLED_ALREADY: 该批次已被召回 / the batch is recalled already");
        recalls[id] = Recall(by, bySupervisor, uint64(block.timestamp), reason);
        recalledBits[id >> 8] |= 1 << (id & 255);
        _step(id, Action.Recalled, by, "", 0, 0, reason);
        emit BatchRecalled(id, by, reason);
    }

    /// @notice 解除召回：监管部门的召回只能由监管部门解除。Lift a recall; a supervisor's is lifted by a supervisor.
    function liftRecall(uint256 id, string calldata reason) external {
        string memory by = _sender();
        Recall storage current = recalls[id];
        require(current.time != 0, unicode"NOT_RECALLED: 该批次未被召回 / the batch is not recalled");
        require(_supervises(by) || (!current.bySupervisor && _same(by, current.by)),
            unicode"RECALL_FORBIDDEN: 召回由发起者或监管部门解除 / whoever recalled the batch, or a supervising department, lifts the recall");
        _text(reason);
        delete recalls[id];
        recalledBits[id >> 8] &= ~(1 << (id & 255));
        _step(id, Action.RecallLifted, by, "", 0, 0, reason);
        emit RecallLifted(id, by, reason);
    }

    /// @notice 销毁。Destroy a batch that the caller's company holds; `document` is the digest of the record of it.
    function destroy(uint256 id, bytes32 document, string calldata note) external {
        string memory by = _held(id);
        require(document != 0, unicode"DIGEST_ZERO: 须有销毁记录的摘要 / the digest of the record is needed");
        _text(note);
        batches[id].status = Status.Destroyed;
        _step(id, Action.Destroyed, by, "", 0, document, note);
        emit BatchDestroyed(id, by, document);
    }

    // ---- 查询 reading

    /// @notice 批次。A batch; its status is None when there is none.
    function batch(uint256 id) external view returns (Batch memory) {
        return batches[id];
    }

    /// @notice 按生产者与编号查批次，没有时为零。The batch with a maker's code, or zero.
    function batchByCode(string calldata maker, string calldata code) external view returns (uint256) {
        return byCode[_codeKey(maker, code)];
    }

    /// @notice 消费者与收货方所问：该批次能否流转，以及为何不能。May the batch be sold or used, and if not, why.
    function standing(uint256 id) external view returns (bool clear, string memory reason) {
        Batch storage found = batches[id];
        if (found.status == Status.None) return (false, unicode"没有该批次 / there is no such batch");
        if (_recallFor(id) != 0) return (false, unicode"该批次或其来源已被召回 / the batch, or what it derives from, is recalled");
        if (found.failed) return (false, unicode"检验不合格 / it failed an inspection");
        if (found.status != Status.Held) return (false, unicode"该批次已用尽或销毁 / the batch is used up or destroyed");
        return (true, "");
    }

    /// @notice 证照现在是否有效。Is the certificate that the batch was made under in force now.
    function certificateInForce(uint256 id) external view returns (bool) {
        return CERTIFICATES.is_in_force(_known(id).certificate);
    }

    /// @notice 波及该批次的召回所针对的批次。The recalled batches among this one and all that it derives from.
    function recallsReaching(uint256 id) external view returns (uint256[] memory found) {
        uint32[] storage line = lines[lineOf[id]];
        found = new uint256[](line.length + 1);
        uint256 count;
        for (uint256 i; i < line.length; i++) if (_isRecalled(line[i])) found[count++] = line[i];
        if (_isRecalled(id)) found[count++] = id;
        assembly { mstore(found, count) }
    }

    /// @notice 对该批次本身的召回。The recall of this very batch; its time is zero when there is none in force.
    function recallOf(uint256 id) external view returns (Recall memory) {
        return recalls[id];
    }

    /// @notice 直接来源与直接去向，及全部来源。What a batch was made of, what was made of it, and all that it derives from.
    function parents(uint256 id) external view returns (uint32[] memory) {
        return parentsOf[id];
    }

    function children(uint256 id) external view returns (uint32[] memory) {
        return childrenOf[id];
    }

    function ancestors(uint256 id) external view returns (uint32[] memory) {
        return lines[lineOf[id]];
    }

    /// @notice 自第 start 步起的经历。Up to 50 steps of a batch's history from number `start` on, oldest first.
    function history(uint256 id, uint256 start) external view returns (Step[] memory found) {
        Step[] storage all = steps[id];
        uint256 count = start >= all.length ? 0 : all.length - start;
        found = new Step[](count > PAGE ? PAGE : count);
        for (uint256 i; i < found.length; i++) found[i] = all[start + i];
    }

    // ---- 内部 inside

    function _sender() private view returns (string memory department) {
        department = MEMBERS.department_of(msg.sender);
        require(bytes(department).length > 0, unicode"NOT_A_MEMBER: 须由有效部门或企业的账户办理 / only an account of an active department or company may do this");
    }

    function _supervises(string memory department) private view returns (bool) {
        for (uint256 i; i < supervisors.length; i++)
            if (_same(supervisors[i], department)) return MEMBERS.has_role(msg.sender, department, SUPERVISOR_ROLE);
        return false;
    }

    function _known(uint256 id) private view returns (Batch storage found) {
        found = batches[id];
        require(found.status != Status.None, unicode"BATCH_UNKNOWN: 没有该批次 / there is no such batch");
    }

    /// The caller's company, which holds the batch, and nobody has it on offer.
    function _held(uint256 id) private view returns (string memory by) {
        by = _sender();
        Batch storage found = _known(id);
        require(found.status == Status.Held, unicode"NOT_HELD: 该批次已用尽或销毁 / the batch is used up or destroyed");
        require(_same(by, found.holder), unicode"NOT_HOLDER: 只有批次的持有者可以办理 / only the holder of the batch may do this");
        require(bytes(found.offeredTo).length == 0, unicode"ON_OFFER: 该批次正在交接，须先撤回 / the batch is on offer: withdraw that first");
    }

    /// As _held, and nothing speaks against using it.
    function _usable(uint256 id) private view returns (string memory by) {
        by = _held(id);
        require(_recallFor(id) == 0, unicode"RECALLED: 该批次或其来源已被召回 / the batch, or what it derives from, is recalled");
        require(!batches[id].failed, unicode"FAILED: 该批次检验不合格 / the batch failed an inspection");
    }

    /// The caller's company, to which the batch is on offer.
    function _offered(uint256 id) private view returns (string memory by) {
        by = _sender();
        require(_known(id).status == Status.Held && _same(by, batches[id].offeredTo),
            unicode"NOT_OFFERED: 该批次未交接给本单位 / the batch is not on offer to the caller's company");
    }

    /// A batch goes anywhere while nothing speaks against it; one that is recalled goes back to whoever recalled it.
    function _movable(uint256 id, string memory to) private view {
        uint256 recalled = _recallFor(id);
        if (recalled != 0) {
            require(_same(to, recalls[recalled].by),
                unicode"RECALLED: 已被召回的批次只能退回召回单位 / a recalled batch goes nowhere but to whoever recalled it");
        } else {
            require(!batches[id].failed, unicode"FAILED: 该批次检验不合格 / the batch failed an inspection");
        }
    }

    /// The batch whose recall reaches this one: itself before what it derives from; zero when there is none.
    function _recallFor(uint256 id) private view returns (uint256) {
        if (_isRecalled(id)) return id;
        uint32[] storage line = lines[lineOf[id]];
        for (uint256 i = line.length; i > 0; i--) if (_isRecalled(line[i - 1])) return line[i - 1];
        return 0;
    }

    function _isRecalled(uint256 id) private view returns (bool) {
        return recalledBits[id >> 8] & (1 << (id & 255)) != 0;
    }

    function _make(
        string calldata code, string calldata product, uint128 quantity, string calldata unit, string calldata certificate
    ) private returns (uint256) {
        require(CERTIFICATES.is_in_force(certificate), unicode"CERTIFICATE: 许可证照无效或不在链上 / the certificate is not in force, or not on the ledger");
        return _store(_sender(), code, product, quantity, unit, certificate);
    }

    function _store(
        string memory maker, string calldata code, string memory product, uint128 quantity, string memory unit, string memory certificate
    ) private returns (uint256 id) {
        _text(code);
        _text(product);
        _text(unit);
        require(quantity > 0, unicode"QUANTITY: 数量须大于零 / a quantity is more than zero");
        id = ++batchCount;
        require(id <= type(uint32).max, unicode"FULL: 登记簿已满 / the register is full");
        bytes32 key = _codeKey(maker, code);
        require(byCode[key] == 0, unicode"BATCH_EXISTS: 本单位已有该编号的批次 / the company has a batch of this code already");
        byCode[key] = id;
        batches[id] = Batch(Status.Held, false, uint64(block.timestamp), quantity, maker, maker, "", code, product, unit, certificate);
        emit BatchCreated(id, maker, code, product, quantity, unit);
    }

    /// Made by whoever splits, under the licence of the whole, which may have ended since.
    function _part(uint256 whole, string memory holder, string calldata code, uint128 quantity) private returns (uint256 part) {
        Batch storage from = batches[whole];
        part = _store(holder, code, from.product, quantity, from.unit, from.certificate);
        _derive(part, whole);
        _step(part, Action.Split, holder, "", whole, 0, "");
    }

    /// Uses the batches up for the one made of them.
    function _combine(uint256[] calldata ids, uint256 made) private {
        uint32[] memory line = new uint32[](MAX_ANCESTORS);
        uint256 count;
        for (uint256 i; i < ids.length; i++) {
            require(ids[i] != made, unicode"BATCH_UNKNOWN: 没有该批次 / there is no such batch");
            string memory holder = _held(ids[i]);
            require(!batches[ids[i]].failed, unicode"FAILED: 该批次检验不合格 / the batch failed an inspection");
            // Used from here on: the same batch twice in one list is refused.
            batches[ids[i]].status = Status.Used;
            count = _addAll(line, count, made, lineOf[ids[i]]);
            count = _add(line, count, made, uint32(ids[i]));
            _derive(made, ids[i]);
            _step(ids[i], Action.Used, holder, "", made, 0, "");
        }
        assembly { mstore(line, count) }
        lines[made] = line;
        lineOf[made] = made;
    }

    /// Adds to the line of the batch being made what a line holds, unless that very line was added, and looked through, before.
    function _addAll(uint32[] memory line, uint256 count, uint256 made, uint256 firstBatch) private returns (uint256) {
        if (firstBatch == 0 || !_isNew(made, (1 << 32) | firstBatch)) return count;
        uint32[] memory earlier = lines[firstBatch];
        for (uint256 i; i < earlier.length; i++) count = _add(line, count, made, earlier[i]);
        return count;
    }

    function _add(uint32[] memory line, uint256 count, uint256 made, uint32 ancestor) private returns (uint256) {
        if (!_isNew(made, ancestor)) return count;
        require(!_isRecalled(ancestor), unicode"RECALLED: 该批次或其来源已被召回 / the batch, or what it derives from, is recalled");
        require(count < MAX_ANCESTORS, unicode"TOO_MANY_ANCESTORS: 来源批次超过 256 个 / it would derive from more than 256 batches");
        line[count] = ancestor;
        return count + 1;
    }

    /// Whether this is the first time for the batch being made; transient storage remembers until the transaction ends.
    function _isNew(uint256 made, uint256 thing) private returns (bool isNew) {
        uint256 mark = (made << 64) | thing;
        assembly {
            isNew := iszero(tload(mark))
            tstore(mark, 1)
        }
    }

    function _derive(uint256 child, uint256 parent) private {
        parentsOf[child].push(uint32(parent));
        childrenOf[parent].push(uint32(child));
        emit BatchDerived(child, parent);
    }

    function _step(uint256 id, Action action, string memory by, string memory to, uint256 other, bytes32 document, string memory note) private {
        steps[id].push(Step(action, uint64(block.timestamp), by, to, other, document, note));
    }

    function _oneMore(uint32[] memory line, uint32 last) private pure returns (uint32[] memory longer) {
        require(line.length < MAX_ANCESTORS, unicode"TOO_MANY_ANCESTORS: 来源批次超过 256 个 / it would derive from more than 256 batches");
        longer = new uint32[](line.length + 1);
        for (uint256 i; i < line.length; i++) longer[i] = line[i];
        longer[line.length] = last;
    }

    function _text(string memory text) private pure {
        require(bytes(text).length > 0 && bytes(text).length <= MAX_TEXT_BYTES,
            unicode"TEXT_LENGTH: 文字不能为空，最多 600 字节 / a text is not empty and has at most 600 bytes");
    }

    function _codeKey(string memory maker, string memory code) private pure returns (bytes32) {
        return keccak256(abi.encode(maker, code));
    }

    function _same(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }
}
