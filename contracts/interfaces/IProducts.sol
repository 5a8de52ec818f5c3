// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Data products of a data exchange: registration with a claim of rights, valuations and transactions that both
/// parties confirm.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: register, withdraw, propose, confirm,
/// decline, take_back, raise_objection, answer_objection, decide_objection, set_formula. A contract that could write
/// would do so with the roles of whoever happens to call it; people send these as transactions of their own.
interface IProducts {
    // A resource that a product is made from; `grant` is the grant under which another department supplies it, zeros
    // for one's own.
    struct Source {
        string resource;
        bytes32 grant;
    }

    // The rights (of RIGHTS) that a department says it has in a product, why, and the digest of what shows it.
    struct Claim {
        string[] rights;
        string basis;
        bytes32 evidence;
    }

    // A data product; `code` is the department's code, a slash and the department's own number for it.
    struct ProductRecord {
        string code;
        string department;
        string name;
        string kind;
        string summary;
        Source[] sources;
        Claim claim;
        int64 registered_ms;
        address registered_by;
        string state;
        // Block time since which it is in this state.
        int64 state_ms;
        string reason;
        // How many valuations and transactions there are: numbers 1 to this one, without a gap.
        uint64 facts;
        uint64 objections;
    }

    // What a valuation or transaction says: `kind` and `form` of FORMS, and `document` the digest of the paper that
    // both have.
    struct Terms {
        string kind;
        string form;
        uint64 amount_fen;
        int64 dated_ms;
        int64 until_ms;
        bytes32 document;
        bytes32 grant;
        uint64 replaces;
    }

    // A valuation or transaction between the product's department and another; it is a fact once both have confirmed
    // it.
    struct FactRecord {
        string product;
        uint64 number;
        Terms terms;
        string proposer;
        string counterparty;
        int64 proposed_ms;
        address proposed_by;
        string state;
        // Block time of the answer, of being taken back or replaced; 0 while it is proposed.
        int64 answered_ms;
        address answered_by;
        string reason;
    }

    // Another department's objection to a claim, the provider's answer, and what the governor decided.
    struct ObjectionRecord {
        string product;
        uint64 number;
        string department;
        string ground;
        // Digest of what shows it, zeros for none.
        bytes32 evidence;
        int64 raised_ms;
        string answer;
        int64 answered_ms;
        string state;
        string finding;
        int64 decided_ms;
    }

    // What one thing counted under `measure` gives or takes, and the most that all of them do in a period (0 = no
    // limit).
    struct FormulaRow {
        string measure;
        int64 hundredths;
        uint64 limit_hundredths;
        uint64 most_of_one;
    }

    // A published formula: periods that begin at `from_ms` or later, and before the next formula's, are scored by it.
    struct FormulaRecord {
        // Numbered from 1 without a gap; 0 is the table that applies before a governor sets one.
        uint64 number;
        FormulaRow[] rows;
        string basis;
        int64 from_ms;
        int64 set_ms;
        address set_by;
    }

    event ProductRegistered(string product, string department, string name);
    event ProductEnded(string product, string state, string reason);
    event FactProposed(string product, uint64 number, string kind, string proposer, string counterparty);
    event FactAnswered(string product, uint64 number, string state);
    event ObjectionRaised(string product, uint64 number, string department);
    event ObjectionDecided(string product, uint64 number, string state);
    event FormulaSet(uint64 number, int64 from_ms);

    /// @notice Return the record of a product, ended ones included.
    function product(string calldata code) external view returns (ProductRecord memory);

    /// @notice Return a valuation or transaction of a product, whatever became of it.
    function fact(string calldata product_, uint64 number) external view returns (FactRecord memory);

    /// @notice Return an objection to a product's claim.
    function objection(string calldata product_, uint64 number) external view returns (ObjectionRecord memory);

    /// @notice Return the formula for a period that begins at a time.
    function formula(int64 period_begins_ms) external view returns (FormulaRecord memory);
}

IProducts constant PRODUCTS = IProducts(0x0000000000000000000000000000000000001010);
